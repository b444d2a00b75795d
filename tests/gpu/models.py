"""Models and artifacts for the GPU that is here, and how answers are compared."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.backends.base import BuildOptions
from graphopt.backends.engine_options import EngineOptions, ShapeRange
from graphopt.backends.tensorrt.architectures import library_for
from graphopt.backends.tensorrt.backend import BACKEND
from graphopt.errors import GraphoptError
from graphopt.targets.parse import parse_target

TINY = ir.from_onnx_text(
    '<ir_version: 10, opset_import: ["" : 21]>\n'
    "tiny (float[N, 64] x, float[64] z) => (float[N, 64] y, float[N, 64] d) {\n"
    "  t = Tanh(x) y = Mul(t, z) d = Sub(x, z)\n}"
)
"""Elementwise: its float32 results are the same to the last bits on every machine."""


def engine_target(device):
    """The target of this GPU; skips, with TensorRT's own list, where none here builds for it."""
    try:
        target = parse_target(f"cuda:{device.architecture}")
        library_for(target.architectures)
    except GraphoptError as error:
        pytest.skip(f"no engine for this GPU: {error.message}")
    return target


def tiny_engine(device, profiles=((1, 4, 16),)):
    """A blob of the tiny model for this GPU, with a profile for each (least, usual, most) of N."""
    ranges = tuple(
        {"x": ShapeRange(*((size, 64) for size in sizes)), "z": ShapeRange((64,), (64,), (64,))}
        for sizes in profiles
    )
    options = BuildOptions(engine_target(device), 1, None, EngineOptions(profiles=ranges))
    return BACKEND.build(TINY.clone(), options)


def tiny_feeds(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(rows, 64)).astype(np.float32),
        "z": rng.normal(size=64).astype(np.float32),
    }


def check_tiny(outputs, feeds):
    """A GPU's tanh is a few units in the last place from the CPU's."""
    np.testing.assert_array_max_ulp(outputs["y"], np.tanh(feeds["x"]) * feeds["z"], maxulp=64)
    np.testing.assert_array_equal(outputs["d"], feeds["x"] - feeds["z"])
