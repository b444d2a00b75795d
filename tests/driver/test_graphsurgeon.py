"""onnx-graphsurgeon in and out: nothing is lost on the way, and edits are kept."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphopt
from graphopt.errors import ModelError, UsageError
from graphopt.ir.load import load_model
from graphopt.ir.save import to_proto
from tests.driver.surgeon_models import EVERYTHING, everything

if TYPE_CHECKING:
    from tests.conftest import Zoo

gs = pytest.importorskip("onnx_graphsurgeon")

MODELS = (
    "basic_pitch", "bert_minilm_l3", "magika", "picodet_layout", "ppocr_cls", "ppocr_det", "ppocr_rec",
    "silero_vad", "smart_turn_qdq", "t5_decoder_int8", "t5_encoder_int8", "tashkeel_bilstm_int8",
    "terrain_unet", "vit_s_focus",
)  # fmt: skip


def ordered(model: ir.Model | onnx.ModelProto) -> onnx.ModelProto:
    """A model with everything whose order means nothing in one order, and no empty names of tensors."""
    source = to_proto(model) if isinstance(model, ir.Model) else model
    proto = onnx.ModelProto()
    proto.CopyFrom(source)
    for imports in (proto.opset_import, *(function.opset_import for function in proto.functions)):
        imports.sort(key=lambda entry: entry.domain)
    order_nodes([node for function in proto.functions for node in function.node])
    order_graph(proto.graph)
    return proto


def order_graph(graph: onnx.GraphProto) -> None:
    graph.initializer.sort(key=lambda tensor: tensor.name)
    graph.value_info.sort(key=lambda value: value.name)
    order_nodes(list(graph.node))


def order_nodes(nodes: list[onnx.NodeProto]) -> None:
    for node in nodes:
        node.attribute.sort(key=lambda attribute: attribute.name)
        for attribute in node.attribute:
            if attribute.HasField("t") and not attribute.t.name:
                attribute.t.ClearField("name")
            if attribute.HasField("g"):
                order_graph(attribute.g)


def there_and_back(source: Any) -> ir.Model:
    return graphopt.from_graphsurgeon(graphopt.to_graphsurgeon(source))


@pytest.mark.zoo
@pytest.mark.parametrize("name", MODELS)
def test_real_models_come_back_word_for_word(zoo: Zoo, name: str) -> None:
    model = load_model(zoo(name))
    assert ordered(there_and_back(model)) == ordered(model)


@pytest.mark.parametrize("source", [str, bytes, onnx.ModelProto, ir.Model])
def test_everything_comes_back_from_every_source(source: type, tmp_path: Path) -> None:
    proto = everything()
    onnx.save(proto, tmp_path / "m.onnx")
    given = {
        str: str(tmp_path / "m.onnx"),
        bytes: proto.SerializeToString(),
        onnx.ModelProto: proto,
        ir.Model: load_model(proto),
    }[source]
    assert ordered(there_and_back(given)) == ordered(load_model(proto))
    assert ordered(load_model(proto)) == ordered(load_model(everything())), "the argument was changed"


def test_twice_is_once() -> None:
    once = there_and_back(everything())
    assert ordered(there_and_back(once)) == ordered(once)


def test_converting_leaves_the_graph_as_it_is() -> None:
    graph = graphopt.to_graphsurgeon(everything())
    before = [dict(node.attrs) for node in graph.nodes]
    graphopt.from_graphsurgeon(graph)
    assert [dict(node.attrs) for node in graph.nodes] == before


def test_an_edit_keeps_what_it_does_not_touch() -> None:
    graph = graphopt.to_graphsurgeon(everything())
    relu = next(node for node in graph.nodes if node.op == "Relu")
    relu.op = "Sigmoid"
    weight = next(node for node in graph.nodes if node.op == "MatMul").inputs[1]
    weight.values = weight.values * 2
    model = graphopt.from_graphsurgeon(graph)
    assert dict(model.metadata_props) == {"author": "someone", "license": "none"}
    nodes = {node.op_type: node for node in model.graph}
    assert nodes["MatMul"].metadata_props["layer"] == "encoder"
    assert "layer" not in nodes["Sigmoid"].metadata_props, "another operator took its place"
    tensor = model.graph.initializers["w"].const_value
    assert tensor is not None
    np.testing.assert_array_equal(tensor.numpy(), 2 * np.arange(4, dtype=np.float32).reshape(2, 2))


def test_what_was_removed_stays_removed() -> None:
    graph = graphopt.to_graphsurgeon(everything())
    graph.outputs = [tensor for tensor in graph.outputs if tensor.name != "opt"]
    graph.cleanup()
    model = graphopt.from_graphsurgeon(graph)
    assert "Optional" not in {node.op_type for node in model.graph}
    assert [value.name for value in model.graph.outputs] == [
        value.name for value in load_model(everything()).graph.outputs if value.name != "opt"
    ]


def test_a_new_type_is_not_overwritten() -> None:
    graph = graphopt.to_graphsurgeon(everything())
    x = next(tensor for tensor in graph.inputs if tensor.name == "x")
    x.shape = [3, 2]
    shape = graphopt.from_graphsurgeon(graph).graph.inputs[0].shape
    assert shape is not None
    assert list(shape) == [3, 2]


def test_a_copied_graph_needs_the_original() -> None:
    model = load_model(everything())
    graph = graphopt.to_graphsurgeon(model)
    graph.outputs = [tensor for tensor in graph.outputs if tensor.name == "y"]
    copied = graph.cleanup().copy()
    assert not graphopt.from_graphsurgeon(copied).metadata_props
    again = graphopt.from_graphsurgeon(copied, original=model)
    assert dict(again.metadata_props) == dict(model.metadata_props)


def test_a_graph_made_by_hand() -> None:
    x, y = gs.Variable("x", np.float32, ("n", 4)), gs.Variable("y", np.float32, ("n", 4))
    nodes = [gs.Node("Relu", inputs=[x], outputs=[y], attrs={})]
    model = graphopt.from_graphsurgeon(gs.Graph(nodes, [x], [y], opset=17))
    assert [node.op_type for node in model.graph] == ["Relu"]
    assert model.opset_imports == {"": 17}


def test_an_empty_list_made_by_hand_gets_its_operators_type() -> None:
    x, y = gs.Variable("x", np.float32, ()), gs.Variable("y", np.float32, ())
    nodes = [gs.Node("Transpose", inputs=[x], outputs=[y], attrs={"perm": []})]
    model = graphopt.from_graphsurgeon(gs.Graph(nodes, [x], [y], opset=17))
    assert model.graph[0].attributes["perm"].type == ir.AttributeType.INTS


def test_the_long_name_of_the_default_domain() -> None:
    text = '<ir_version: 8, opset_import: ["ai.onnx" : 17]> g (float[4] x) => (float[4] y) { y = Relu(x) }'
    proto = onnx.parser.parse_model(text)
    proto.graph.node[0].domain = ""
    assert graphopt.from_graphsurgeon(gs.import_onnx(proto)).opset_imports == {"": 17}


def test_an_output_that_is_a_weight() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y, float[2] w)
    <float[2] w = {1, 2}> { y = Relu(x) }"""
    model = there_and_back(onnx.parser.parse_model(text))
    assert [value.name for value in model.graph.outputs] == ["y", "w"]
    assert "w" in model.graph.initializers


def test_shared_weights_of_branches_stay_shared() -> None:
    model = there_and_back(EVERYTHING)
    assert "only_inside" in model.graph.initializers
    for node in model.graph.all_nodes():
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                assert not attribute.as_graph().initializers


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda: "not a graph", "this is a str, not an onnx_graphsurgeon.Graph"),
        (lambda: gs.Graph([], [gs.Variable("x")], []), "graph input 'x' has no dtype"),
        (
            lambda: gs.Graph(
                [gs.Node("Relu", name="r", inputs=[gs.Variable("nowhere")], outputs=[gs.Variable("y")])],
                [],
                [gs.Variable("y", np.float32, (1,))],
            ),
            "nowhere",
        ),
        (
            lambda: gs.Graph([gs.Node("Relu", attrs={"a": object()}, outputs=[gs.Variable("y")])], [], []),
            "cannot be exported",
        ),
    ],
)
def test_bad_graphs_end_in_one_line(graph: Any, message: str) -> None:
    with pytest.raises((ModelError, UsageError), match=message) as caught:
        graphopt.from_graphsurgeon(graph())
    assert "\n" not in str(caught.value)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UsageError, match=r"pip install 'graphopt\[graphsurgeon\]'"):
        graphopt.to_graphsurgeon(everything())
