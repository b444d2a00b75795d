"""What TensorRT-RTX refuses as it is, it takes as the backend's passes spell it: one engine of everything."""

from __future__ import annotations

from functools import cache

import onnx_ir as ir
import pytest

from graphopt.backends.base import Available, BuildOptions, RegionRefused
from graphopt.backends.tensorrt.backend import BACKEND
from graphopt.backends.tensorrt.legalize import LEGALIZE_PASSES
from graphopt.backends.tensorrt.module import find_library
from graphopt.driver.runners import evaluator
from graphopt.errors import GraphoptError
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.manager import PassManager
from graphopt.targets.parse import parse_target
from tests.backends.tensorrt.models import model

REFUSED = """
g (float[2,2,3] theta, float[3] v, float[2,3,4] m, float[1,2,8,8] i, int64[2,3] l, bool[2,3] b,
   float[1,24,9] c, int64[2,1] at, float[2,8,3] u, int64[2,8,3] where, float[1,16,1] s, float[2,5] scores,
   int64[2] labels, float[2,3,4] n, float[4] g1, float[5,8,3] rows, float[1,2,4,8] q, bool[4,4] mask,
   float[4] before)
  => (float[2,4,5,2] grid, float[2,4] vm, float[3] vs, float[1,2,3,3] shrunk, int64[2,3] flipped,
      int64[2,2] prod, bool[2] some, float[1,6,4,4] image, float[5,8,3] added, float[1,9,2] bins, float loss,
      float[2,3,4] normal, float[2,3,1] inverse, float[1,2,5,8] crop, float[5,8,3] largest,
      float[1,2,4,8] attended, float[1,2,4,8] keys, float[1,2,4,8] values, float[2,3,4] trained,
      float[4] after)
<int64[4] size = {2, 3, 4, 5}, int64[4] small = {1, 2, 3, 3}, int64[1] last = {1}, int64[2] im = {4, 4},
 int64[2] block = {2, 2}, int64[2] wanted = {5, 8}, int64 times = {3}, float[3] one = {1, 1, 1}>
{
  grid = AffineGrid (theta, size)
  vm = MatMul (v, m)
  vs = Softmax (v)
  shrunk = Resize <mode = "linear", antialias = 1> (i, , , small)
  flipped = BitwiseNot (l)
  turned = Transpose <perm = [1, 0]> (l)
  prod = MatMul (l, turned)
  some = ReduceMax <keepdims = 0> (b, last)
  image = Col2Im (c, im, block)
  added = ScatterND <reduction = "add"> (rows, at, u)
  largest = ScatterElements <reduction = "max"> (rows, where, u)
  bins = DFT <onesided = 1> (s)
  loss = SoftmaxCrossEntropyLoss (scores, labels)
  normal, , inverse = LayerNormalization (n, g1)
  crop = CenterCropPad <axes = [2, 3]> (i, wanted)
  attended, keys, values = Attention (q, q, q, mask)
  trained, , = BatchNormalization <training_mode = 1> (n, one, one, one, one)
  after = Loop (times, , before) <body = turn (int64 k, bool go, float[4] x) => (bool on, float[4] y) {
    on = Identity (go)
    y = Mul (x, x)
  }>
}
"""
NAMED_LATER = {"the_attended", "the_largest", "the_after"}
"""Refused too, once the others are gone: by the builder, or by a parser that does not say whom it means."""


@cache
def _missing() -> str:
    """Why there is no TensorRT-RTX to ask here; empty when there is one."""
    try:
        find_library("tensorrt_rtx")
    except GraphoptError as error:
        return error.message
    return "" if isinstance(BACKEND.availability(), Available) else "TensorRT cannot be used here"


@pytest.mark.skipif(bool(_missing()), reason=_missing())
def test_everything_refused_is_taken_once_it_is_legalised() -> None:
    options = BuildOptions(parse_target("cuda:sm_86"), 1)
    region = model(REFUSED, 23)
    names = {str(node.name) for node in region.graph}
    with pytest.raises(RegionRefused) as refused:
        BACKEND.build(region, options)
    assert set(refused.value.reasons) == names - {"the_turned"} - NAMED_LATER

    region = model(REFUSED, 23)
    context = PassContext(evaluate=evaluator())
    PassManager(tuple(step() for step in LEGALIZE_PASSES)).run(region, context)
    outputs = BACKEND.build(region, options).options["outputs"]
    assert isinstance(outputs, list)
    assert {output["name"] for output in outputs} == {value.name for value in region.graph.outputs}


ATTENTIONS = {
    "masked": """
        g (float16[1,64,128] x, float16[1,1,1,64] m) => (float16[1,64,128] y) {
          y = Attention <q_num_heads = 4, kv_num_heads = 4> (x, x, x, m)
        }""",
    "boolean mask": """
        g (float16[1,4,64,32] x, bool[1,1,64,64] m) => (float16[1,4,64,32] y) {
          y = Attention (x, x, x, m)
        }""",
    "grouped and causal": """
        g (float16[1,8,64,32] q, float16[1,2,64,32] k) => (float16[1,8,64,32] y) {
          y = Attention <is_causal = 1> (q, k, k)
        }""",
    "one query over a cache": """
        g (float16[1,8,1,32] q, float16[1,2,1,32] k, float16[1,2,63,32] p)
            => (float16[1,8,1,32] y, float16[1,2,64,32] a, float16[1,2,64,32] b) {
          y, a, b = Attention (q, k, k, , p, p)
        }""",
}


@pytest.mark.skipif(bool(_missing()), reason=_missing())
@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_spelled_out_is_still_one_kernel(name: str) -> None:
    """The builder's log lists the kernels of an engine: fused attention has ``mha`` in its name."""
    region = model(ATTENTIONS[name], 23)
    PassManager(tuple(step() for step in LEGALIZE_PASSES)).run(region, PassContext(evaluate=evaluator()))
    assert not any(node.op_type == "Attention" for node in region.graph)
    assert "_mha_" in _builder_log(ir.to_proto(region).SerializeToString())


def _builder_log(data: bytes) -> str:
    """Everything TensorRT-RTX says while it builds a model for sm_86."""
    trt = find_library("tensorrt_rtx").api

    class Log(trt.ILogger):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: object, message: str) -> None:
            del severity
            self.lines.append(message)

    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    assert parser.parse(data)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    assert builder.build_serialized_network(network, config) is not None
    return "\n".join(log.lines)
