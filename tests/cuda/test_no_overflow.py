"""No float16 value of what engines are built from leaves float16's range, on inputs not chosen by it.

ONNX Runtime computes float16 graphs on the CPU in float32 and would hide an overflow. So the legalised
graph is widened: the same graph with float32 everywhere, and what was float16 is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

from benchmarks.workloads import frozen, sample
from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.driver.legalize import optimize_for
from graphopt.driver.opt import import_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.ir.shapes import infer_shapes
from graphopt.targets.parse import parse_target

if TYPE_CHECKING:
    from tests.conftest import Zoo

pytestmark = pytest.mark.zoo

LARGEST = float(np.finfo(np.float16).max)
OBSERVED, UNSEEN = 0, 7
MODELS = (
    "basic_pitch",
    "bert_minilm_l3",
    "magika",
    "ppocr_cls",
    "ppocr_rec",
    "silero_vad",
    "t5_encoder_int8",
)
LEAST_HALVES = 5
"""A model of which nothing became float16 would pass without saying anything."""


@pytest.mark.parametrize("name", MODELS)
def test_float16_values_stay_in_range(name: str, zoo: Zoo) -> None:
    shapes = {key: array.shape for key, array in sample(name).items()}
    done = optimize_for(
        import_model(zoo(name), shapes=shapes, constants=frozen(name)),
        pipeline(),
        "tensorrt",
        target=parse_target("cuda:sm_86"),
        precision="fp16",
        feeds=[sample(name, OBSERVED)],
        evaluate=evaluator(),
    )
    halves = widen(done.model)
    assert len(halves) >= LEAST_HALVES
    runner = make_runner(done.model, optimise=False)
    for seed in (OBSERVED, UNSEEN):
        outputs = runner.run(sample(name, seed))
        reached = {half: _largest(outputs, half) for half in halves}
        assert all(most <= LARGEST for most in reached.values()), {
            half: most for half, most in reached.items() if most > LARGEST
        }


def widen(model: ir.Model) -> list[str]:
    """Make every float16 of ``model`` a float32 and an output; returns the names of what was float16."""
    infer_shapes(model)
    graph = model.graph
    outputs = [value for node in graph for value in node.outputs if value.name]
    halves = [value for value in outputs if value.dtype == ir.DataType.FLOAT16]
    every = [*model.graph.all_nodes()]
    values = {id(v): v for node in every for v in (*node.inputs, *node.outputs) if v is not None}
    values |= {id(v): v for g in (graph, *graph.subgraphs()) for v in (*g.inputs, *g.initializers.values())}
    for value in values.values():
        if value.dtype == ir.DataType.FLOAT16:
            value.type = ir.TensorType(ir.DataType.FLOAT)
            if value.const_value is not None:
                value.const_value = _wide(value.const_value)
    for node in every:
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                if attribute.as_tensor().dtype == ir.DataType.FLOAT16:
                    node.attributes[name] = ir.AttrTensor(name, _wide(attribute.as_tensor()))
            elif name in ("to", "dtype", "output_dtype") and attribute.as_int() == ir.DataType.FLOAT16:
                node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
    names = [value.name or "" for value in halves]
    known = {value.name for value in graph.outputs}
    graph.outputs.extend(value for value in halves if value.name not in known)
    return names


def _wide(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)


def _largest(outputs: Mapping[str, object], name: str) -> float:
    """The largest finite |value|; a mask's infinity is meant."""
    array = np.abs(np.asarray(outputs[name], dtype=np.float32))
    return float(array[np.isfinite(array)].max(initial=0.0))
