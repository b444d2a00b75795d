"""Whatever model is converted: operators get types they have, the signature stays, a second run is idle."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.backend.test.loader import load_model_tests

from graphopt.backends.onnxruntime.emulate import make_emulating_runner
from graphopt.backends.serialize import serialize
from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.errors import GraphoptError
from graphopt.passes.precision import ClampMasks, ConvertPrecision
from graphopt.pipeline.context import PassContext
from graphopt.rewrite.inline import inline_functions
from tests.property.generate import random_model

TO = ("float16", "bfloat16")
SHARE = 24
"""One in this many cases of ONNX's operator suite; it is ordered by operator."""


def signature(model: ir.Model) -> list[tuple[str | None, ir.DataType | None]]:
    return [(value.name, value.dtype) for value in (*model.graph.inputs, *model.graph.outputs)]


def check(model: ir.Model, to: str, *, eager: bool, feeds: dict[str, np.ndarray] | None = None) -> bool:
    """Convert a copy and let ONNX and ONNX Runtime check its types; whether there was anything to convert."""
    made = model.clone()
    ClampMasks(to).run(made, PassContext())
    step = ConvertPrecision(to, (), eager)
    if not step.run(made, PassContext()):
        return False
    assert signature(made) == signature(model)
    assert eager or not step.run(made.clone(), PassContext())
    flat = made.clone()
    inline_functions(flat)
    proto = onnx.load_from_string(serialize(flat))
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(proto, strict_mode=True, check_type=True))
    runner = make_emulating_runner(made, threads=1)
    if feeds is not None:
        runner.run(feeds)
    return True


@pytest.mark.parametrize("seed", range(300, 308))
def test_random_models(seed):
    case = random_model(seed)
    model = import_model(case.model)
    optimize_model(model, pipeline(level=2), evaluate=evaluator())
    for to in TO:
        check(model, to, eager=True)
        check(model, to, eager=False, feeds=case.feeds[0])


def test_every_kind_of_operator():
    """Cases of one operator are alike, so that a share of them meets every operator with a float in it."""
    with np.errstate(all="ignore"):
        cases = [case for case in load_model_tests(kind="node") if _takes_floats(case.model)]
    converted = 0
    for case in cases[::SHARE]:
        names = [value.name for value in case.model.graph.input]
        try:
            model = import_model(case.model)
            optimize_model(model, pipeline("canonical,simplify,infer-shapes"))
        except GraphoptError:  # operators that graphopt refuses
            continue
        try:
            feeds = dict(zip(names, map(np.asarray, case.data_sets[0][0]), strict=False))
            runnable = make_emulating_runner(model, threads=1).run(feeds) is not None
        except GraphoptError:  # operators that ONNX Runtime lacks
            runnable = False
        for to in TO:
            try:
                converted += check(model, to, eager=True, feeds=feeds if runnable else None)
            except GraphoptError:
                assert not runnable, case.name
    assert converted > len(cases) // SHARE


def _takes_floats(model: onnx.ModelProto | None) -> bool:
    return model is not None and any(
        value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for value in model.graph.input
    )
