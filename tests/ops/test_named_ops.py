"""Every named operator: its body is right at every opset and for every floating-point type."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from graphopt.backends.native.lower.table import LOWERINGS
from graphopt.backends.onnxruntime.runner import make_runner as onnxruntime_runner
from graphopt.backends.reference.runner import make_runner as reference_runner
from graphopt.equality import tolerance
from graphopt.errors import UsageError
from graphopt.ops import ALL_OPS
from graphopt.ops.op import DOMAIN, NamedOp
from graphopt.rewrite.attributes import make_attribute
from graphopt.rewrite.inline import inline_functions
from graphopt.rewrite.parse import parse
from tests.architecture.tracked import ROOT
from tests.backends.native.whole import run as run_natively
from tests.ops.formulas import FORMULAS, Array, Formula

NEWEST_OPSET = 26
"""The newest that ONNX Runtime loads."""

DTYPES = (np.float16, np.float32, np.float64)

each_op = pytest.mark.parametrize("op", ALL_OPS, ids=lambda op: op.name)


def _call(op: NamedOp, opset: int, operands: Sequence[Array], formula: Formula) -> ir.Model:
    """A model of one call."""
    inputs = [
        ir.Value(
            name=f"in_{name}",
            shape=ir.Shape(array.shape),
            type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
        )
        for name, array in zip(op.inputs, operands, strict=True)
    ]
    floating = next(array.dtype for array in operands if array.dtype.kind == "f")
    outputs = [
        ir.Value(name=f"out_{name}", type=ir.TensorType(ir.DataType.from_numpy(floating)))
        for name in op.outputs
    ]
    attributes = [make_attribute(name, value) for name, value in formula.attributes.items()]
    node = ir.Node(DOMAIN, op.name, inputs, attributes, outputs=outputs, name="call")
    graph = ir.Graph(inputs, outputs, nodes=[node], opset_imports={"": opset, DOMAIN: 1}, name="g")
    return ir.Model(graph, ir_version=10, functions=[op.function(opset)])


def _stored(number: int | float | tuple[int, ...]) -> int | float | tuple[int, ...]:
    """A number as an attribute holds it."""
    return float(np.float32(number)) if isinstance(number, float) else number


def _feeds(op: NamedOp, operands: Sequence[Array]) -> dict[str, Array]:
    return {f"in_{name}": array for name, array in zip(op.inputs, operands, strict=True)}


def _close(found: Array, wanted: npt.NDArray[np.float64]) -> bool:
    """Within the rounding of the few steps of a body, each within the limits of equality."""
    steps = 2 * tolerance.limits("default").factor
    limit = steps * tolerance.eps(found.dtype) * max(1.0, float(np.abs(wanted).max()))
    return found.shape == wanted.shape and float(np.abs(found.astype(np.float64) - wanted).max()) <= limit


@each_op
def test_the_body_is_legal_at_every_opset(op: NamedOp) -> None:
    formula = FORMULAS[op.name]
    for opset in range(op.min_opset, NEWEST_OPSET + 1):
        for dtype in DTYPES:
            model = _call(op, opset, formula.draw(0, dtype), formula)
            inferred = onnx.shape_inference.infer_shapes(
                ir.to_proto(model), check_type=True, strict_mode=True
            )
            assert all(output.type.tensor_type.HasField("shape") for output in inferred.graph.output)
            onnx.checker.check_model(inferred, full_check=True)


@each_op
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_the_body_computes_the_formula(op: NamedOp, dtype: npt.DTypeLike) -> None:
    formula = FORMULAS[op.name]
    for seed in range(3):
        operands = formula.draw(seed, dtype)
        model = _call(op, max(op.min_opset, 23), operands, formula)
        wide = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in operands]
        wanted = formula.compute(*wide, **{name: _stored(n) for name, n in formula.attributes.items()})
        reference = reference_runner(model).run(_feeds(op, operands))
        assert inline_functions(model)
        runtime = onnxruntime_runner(model, optimise=False, threads=1).run(_feeds(op, operands))
        for name, right in zip(op.outputs, wanted, strict=True):
            for found in (reference[f"out_{name}"], runtime[f"out_{name}"]):
                assert found.dtype == dtype
                assert _close(found, right), (name, found, right)


@pytest.mark.parametrize(
    "op", [op for op in ALL_OPS if (DOMAIN, op.name) in LOWERINGS], ids=lambda op: op.name
)
def test_the_native_core_computes_the_formula(op: NamedOp) -> None:
    formula = FORMULAS[op.name]
    for seed in range(3):
        operands = formula.draw(seed, np.float32)
        model = _call(op, max(op.min_opset, 23), operands, formula)
        wide = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in operands]
        wanted = formula.compute(*wide, **{name: _stored(n) for name, n in formula.attributes.items()})
        found = run_natively(model, _feeds(op, operands))
        for name, right in zip(op.outputs, wanted, strict=True):
            assert _close(found[f"out_{name}"], right), name


@each_op
def test_attributes_left_out_have_their_defaults(op: NamedOp) -> None:
    formula = FORMULAS[op.name]
    operands = formula.draw(0, np.float32)
    spelled = {name: value for name, value in op.attributes.items() if not isinstance(value, str)}
    assert len(spelled) == len(op.attributes)
    runs = []
    for attributes in (spelled, {}):
        call = Formula(formula.compute, formula.shapes, formula.indices, attributes)
        model = _call(op, max(op.min_opset, 23), operands, call)
        inline_functions(model)  # onnx.reference asks of a call every attribute of the function
        runs.append(reference_runner(model).run(_feeds(op, operands)))
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in runs[0])


@each_op
def test_an_opset_that_is_too_old_is_refused(op: NamedOp) -> None:
    with pytest.raises(UsageError, match=f"needs opset {op.min_opset}"):
        op.function(op.min_opset - 1)


@each_op
def test_the_oldest_opset_is_the_oldest_that_has_all_it_uses(op: NamedOp) -> None:
    """Not older than the operators of the body; 13 at least, the oldest that rules are written for."""
    schemas = onnx.defs.get_all_schemas_with_history()
    since = [
        min(s.since_version for s in schemas if (s.domain, s.name) == ("", name)) for name in op.standard_ops
    ]
    assert op.min_opset == max(13, *since)


@each_op
def test_the_body_is_a_text_that_rules_read_too(op: NamedOp) -> None:
    """So that the left side of a fusion can be the body itself."""
    text = re.sub(r": (float|ints|int)\b", "", op.body_text)
    assert len(parse(text).statements) == len(op.body_text.strip().splitlines())


def test_every_file_is_listed_once() -> None:
    files = {path.stem for path in (ROOT / "graphopt" / "ops").glob("*.py")} - {"__init__", "op"}
    found = []
    for stem in files:
        module = importlib.import_module(f"graphopt.ops.{stem}")
        [op] = [value for value in vars(module).values() if isinstance(value, NamedOp)]
        assert op is getattr(module, stem.upper())
        assert op.name.lower() == stem.replace("_", "")
        found.append(op.name)
    assert sorted(found) == sorted(op.name for op in ALL_OPS)
    assert set(FORMULAS) == set(found)
