"""Taps of a convolution that only meet padding."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.backends.native.region import compile_region
from graphopt.backends.onnxruntime.runner import make_runner
from tests.backends.native.plans import model_of, only, plan_of
from tests.backends.native.whole import run


@pytest.mark.parametrize(
    ("dilation", "size", "left", "pads"),
    [
        (24, 16, (1, 1), (0, 0, 0, 0)),
        (12, 16, (3, 3), (12, 12, 12, 12)),
        (16, 16, (1, 1), (0, 0, 0, 0)),
        (15, 16, (3, 3), (15, 15, 15, 15)),
    ],
)
def test_taps_that_only_meet_padding_leave_the_kernel(
    dilation: int, size: int, left: tuple[int, int], pads: tuple[int, ...]
) -> None:
    weight = np.random.default_rng(0).standard_normal((4, 2, 3, 3)).astype(np.float32)
    numbers, around = ", ".join(map(str, weight.ravel())), ", ".join([str(dilation)] * 4)
    model = model_of(
        f"""wide (float[1,2,{size},{size}] x) => (float[1,4,{size},{size}] y) {{
              w = Constant <value = float[4,2,3,3] {{{numbers}}}> ()
              y = Conv <dilations = [{dilation}, {dilation}], pads = [{around}]> (x, w) }}"""
    )
    step = only(compile_region(model), "conv")
    kernel = step.inputs[1]
    assert kernel is not None
    assert kernel.dims == (4, 2, *left)
    assert step.attributes["pads"] == pads
    x = np.random.default_rng(1).standard_normal((1, 2, size, size)).astype(np.float32)
    wanted = make_runner(model, optimise=False, threads=1).run({"x": x})["y"]
    found = run(model, {"x": x})["y"]
    assert np.abs(found - wanted).max() <= weight[0].size * np.finfo(np.float32).eps * np.abs(wanted).max()


def test_a_kernel_that_somebody_else_reads_keeps_its_taps() -> None:
    plan = plan_of(
        """shared (float[1,1,8,8] x) => (float[1,1,8,8] y, float[1,1,3,3] k) {
             w = Constant <value = float[1,1,3,3] {1, 2, 3, 4, 5, 6, 7, 8, 9}> ()
             y = Conv <dilations = [9, 9], pads = [9, 9, 9, 9]> (x, w)  k = Neg (w) }"""
    )
    kernel = only(plan, "conv").inputs[1]
    assert kernel is not None
    assert kernel.dims == (1, 1, 3, 3)
