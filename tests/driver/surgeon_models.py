"""A model with one of everything that onnx-graphsurgeon has no place for."""

from __future__ import annotations

import onnx
from onnx import helper

TEXT = """<
  ir_version: 10, opset_import: ["" : 20, "local" : 1],
  producer_name: "tests", producer_version: "1", domain: "a.domain", model_version: 7,
  doc_string: "about the model", metadata_props: ["author": "someone", "license": "none"]
>
everything (float[n, 2] x, bool c, float[2] bias, seq(float[n, 2]) items, float[?, 2] z)
  => (float[n, 2] y, float[k, 2] b, optional(float[2]) opt, seq(float[n, 2]) more, float[2] f, float[m, 2] q)
<float[2, 2] w = {0, 1, 2, 3}, float[2] bias = {1, 1}, float[2] only_inside = {4, 5}, float[n, 2] product> {
  [mm] product = MatMul(x, w)
  sum = Add(product, bias)
  [act] y = Relu(sum)
  [choice] b = If(c) <
    then_branch = then_g () => (float[r, 2] t) {
      [inner] inner = MatMul(x, w)
      t = Add(inner, only_inside)
    },
    else_branch = else_g () => (float[s, 2] e) { e = Mul(x, only_inside) }
  >
  [none] opt = Optional(bias)
  more = SequenceInsert(items, x)
  f = local.Scale <factor = 3.0> (bias)
  q = Identity(z)
}
<domain: "local", opset_import: ["" : 20]>
Scale <factor: float = 2.0> (v) => (r) {
  c = Constant <value_float: float = @factor> ()
  [scaled] r = Mul(v, c)
}"""


def everything() -> onnx.ModelProto:
    """The text above, and what the text form cannot say."""
    model = onnx.parser.parse_model(TEXT)
    graph = model.graph
    graph.doc_string = "about the graph"
    graph.metadata_props.add(key="graph", value="main")
    graph.quantization_annotation.add(tensor_name="y").quant_parameter_tensor_names.add(key="S", value="s")
    nodes = {node.name: node for node in graph.node}
    nodes["mm"].metadata_props.add(key="layer", value="encoder")
    nodes["mm"].doc_string = "a product"
    nodes["act"].metadata_props.add(key="layer", value="activation")
    # A custom operator, for attributes of every unusual kind.
    odd = helper.make_node("Odd", ["y"], ["odd"], "odd", domain="local")
    odd.attribute.append(onnx.AttributeProto(name="empty", type=onnx.AttributeProto.FLOATS))
    odd.attribute.append(onnx.AttributeProto(name="raw", type=onnx.AttributeProto.STRING, s=b"\xff\xfe"))
    tensors = [helper.make_tensor("one", 1, [1], [1.0]), helper.make_tensor("two", 7, [1], [2])]
    odd.attribute.append(helper.make_attribute("tensors", tensors))
    odd.attribute.append(helper.make_attribute("type", helper.make_tensor_type_proto(1, [2])))
    odd.attribute[0].doc_string = "nothing in it"
    graph.node.append(odd)
    graph.output.append(helper.make_tensor_value_info("odd", 1, ["n", 2]))
    graph.input[0].doc_string = "the input"
    graph.input[0].metadata_props.add(key="unit", value="volt")
    graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    branch = nodes["choice"].attribute[0].g
    branch.node[0].metadata_props.add(key="layer", value="inside")
    branch.doc_string = "a branch"
    function = model.functions[0]
    function.doc_string = "scales"
    function.metadata_props.add(key="from", value="tests")
    function.node[1].metadata_props.add(key="layer", value="in a function")
    return model


EVERYTHING = everything()
