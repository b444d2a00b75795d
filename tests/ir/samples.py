"""Small models that between them use every part of the format; what the fuzzers mutate."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from onnx import TensorProto, helper, numpy_helper

CONV = """<ir_version: 8, opset_import: ["": 13], metadata_props: ["k": "v"]>
conv (float[N, 3, 8, 8] x) => (float[N, 4, M, M] y)
<float[4, 3, 3, 3] w, float[4] b = {0.5, -0.5, 0.25, 1}> {
  c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
  r = Relu (c)
  y = MaxPool <kernel_shape = [2, 2]> (r)
}"""

CONTROL = """<ir_version: 8, opset_import: ["": 16]>
control (float[2, "?"] x, bool c, int64 n) => (float[2, k] y, float[2, k] z)
<float[1] one = {1}> {
  shape = Shape (x)
  y = If (c) <
    then_branch = t () => (float[2, k] p) { p = Add (x, one) },
    else_branch = e () => (float[2, k] p) { two = Constant <value_float = 2.0> ()  p = Mul (x, two) }
  >
  z = Loop (n, c, x) <
    body = b (int64 i, bool going, float[2, k] v) => (bool still, float[2, k] w) {
      still = Identity (going)
      w = Neg (v)
    }
  >
}"""

FUNCTIONS = """<ir_version: 9, opset_import: ["": 18, "local": 1, "com.example": 2]>
functions (float[batch, 4] x) => (float[batch, 4] y) {
  s = local.scaled <factor = 3.0> (x)
  y = com.example.Custom <mode = "fast", levels = [1, 2]> (s)
}
<domain: "local", opset_import: ["": 18]>
scaled <factor> (v) => (w) {
  f = Constant <value_float: float = @factor> ()
  w = Mul (v, f)
}"""

TEXTS = (CONV, CONTROL, FUNCTIONS)


def parse(text: str) -> onnx.ModelProto:
    """A model in ONNX text; weights declared without a value get reproducible random ones."""
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(0)
    named = {t.name for t in model.graph.initializer} | {o for n in model.graph.node for o in n.output}
    for value in list(model.graph.value_info):
        if value.name not in named:
            dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
            array = rng.standard_normal(dims).astype(np.float32)
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
    return model


def chain(length: int) -> onnx.ModelProto:
    """``length`` Identity-like nodes in a row."""
    nodes = [helper.make_node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(length)]
    x = helper.make_tensor_value_info("v0", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info(f"v{length}", TensorProto.FLOAT, [2])
    graph = helper.make_graph(nodes, "chain", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def nested_if(depth: int) -> onnx.ModelProto:
    """An If within an If within an If …"""

    def branch(level: int) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(f"o{level}", TensorProto.FLOAT, [2])
        if level == depth:
            return helper.make_graph([helper.make_node("Neg", ["x"], [f"o{level}"])], "leaf", [], [out])
        inner = branch(level + 1)
        node = helper.make_node("If", ["c"], [f"o{level}"], then_branch=inner, else_branch=_leaf(level))
        return helper.make_graph([node], f"g{level}", [], [out])

    def _leaf(level: int) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(f"e{level}", TensorProto.FLOAT, [2])
        return helper.make_graph([helper.make_node("Abs", ["x"], [f"e{level}"])], "e", [], [out])

    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    body = branch(0)
    graph = helper.make_graph(list(body.node), "nested", inputs, list(body.output))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def all_samples() -> list[onnx.ModelProto]:
    """The models the fuzzers start from."""
    return [*(parse(text) for text in TEXTS), chain(6), nested_if(3)]
