"""Small models for TensorRT, as text."""

import numpy as np
import onnx.parser
import onnx.shape_inference
import onnx_ir as ir

PERCEPTRON = """g (float[1, 64] x, float[64, 32] w1, float[32] w2) => (float[1, 32] y)
{
  m = MatMul(x, w1)
  s = Add(m, w2)
  y = Relu(s)
}"""

ATTENTION = """g (float[128, 256] x, float[256, 256] w1, float[256, 256] w2) => (float[128, 256] y)
{
  m = MatMul(x, w1)
  s = Softmax(m)
  y = MatMul(s, w2)
}"""

DYNAMIC = """g (float[N, 3, H, W] x, float[8, 3, 3, 3] w) => (float[N, 8, H, W] y)
{
  c = Conv <pads = [1, 1, 1, 1]> (x, w)
  y = Relu(c)
}"""


def model(text: str, opset: int = 21) -> ir.Model:
    """A model from text.

    Nodes are named "the_" and their first output; inputs whose names begin with "w" become weights.
    """
    head = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    found = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(f"{head}\n{text}")))
    random = np.random.default_rng(0)
    for node in found.graph.all_nodes():
        node.name = node.name or f"the_{node.outputs[0].name}"
    for value in [value for value in found.graph.inputs if value.name.startswith("w")]:
        found.graph.inputs.remove(value)
        array = random.standard_normal(value.shape.numpy()).astype(value.dtype.numpy())
        value.const_value = ir.tensor(array, name=value.name)
        found.graph.register_initializer(value)
    return found
