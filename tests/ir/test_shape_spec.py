"""Shapes as people type them."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from graphopt.errors import UsageError
from graphopt.ir.load import load_model
from graphopt.ir.shape_spec import ShapeSpec, parse_shape_specs


def _model(**inputs: list[int | str | None]) -> ir.Model:
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n, dims in inputs.items()]
    nodes = [helper.make_node("Relu", [n], [f"{n}_out"]) for n in inputs]
    outputs = [helper.make_tensor_value_info(f"{n}_out", TensorProto.FLOAT, None) for n in inputs]
    graph = helper.make_graph(nodes, "g", values, outputs)
    return load_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))


IMAGE = {"x": ["n", 3, "h", "w"]}
WANT = {"x": ShapeSpec((1, 3, 224, 224))}


@pytest.mark.parametrize(
    "text",
    [
        "x:[1,3,224,224]", "x:1x3x224x224", "x:1,3,224,224", "x[1,3,224,224]", "x=1,3,224,224",
        "[1,3,224,224]", "1x3x224x224", "1,3,224,224", "x: 1, 3, 224, 224", "x:(1, 3, 224, 224)",
        "1\u00d73\u00d7224\u00d7224", "x:[ 1 , 3 , 224 , 224 ]",
    ],
)  # fmt: skip
def test_every_spelling(text: str) -> None:
    assert parse_shape_specs([text], _model(**IMAGE)) == WANT


@pytest.mark.parametrize(
    "texts",
    [
        ["x:1x3x8x8,y:2x4"], ["x:[1,3,8,8] y:[2,4]"], ["x[1,3,8,8],y[2,4]"], ["x:1,3,8,8;y:2,4"],
        ["x:1,3,8,8,y:2,4"], ["x:1x3x8x8", "y:2x4"],
    ],
)  # fmt: skip
def test_several_inputs(texts: list[str]) -> None:
    model = _model(x=["n", 3, "h", "w"], y=["n", "k"])
    assert parse_shape_specs(texts, model) == {"x": ShapeSpec((1, 3, 8, 8)), "y": ShapeSpec((2, 4))}


@pytest.mark.parametrize("name", ["serving_default_input:0", "x.1", "a/b:0", "x[0]", "1x1", "in put"])
def test_names_with_separators_in_them(name: str) -> None:
    assert parse_shape_specs([f"{name}:2x4"], _model(**{name: ["n", 4]})) == {name: ShapeSpec((2, 4))}


def test_dynamic_dims_and_names() -> None:
    model = _model(**IMAGE)
    assert parse_shape_specs(["x:?x3x-1x64"], model)["x"].dims == (None, 3, None, 64)
    assert parse_shape_specs(["x:[batch,3,?,64]"], model)["x"].dims == ("batch", 3, None, 64)


def test_scalars_and_zero() -> None:
    assert parse_shape_specs(["s:[]"], _model(s=[]))["s"].dims == ()
    assert parse_shape_specs(["x:0x4"], _model(x=["n", 4]))["x"].dims == (0, 4)


def test_smallest_usual_largest() -> None:
    model = _model(**IMAGE)
    want = ShapeSpec((None, 3, None, None), (1, 3, 64, 64), (4, 3, 224, 224), (8, 3, 512, 512))
    for text in ("x:1x3x64x64/4x3x224x224/8x3x512x512", "x:[1..4..8,3,64..224..512,64..224..512]"):
        assert parse_shape_specs([text], model)["x"] == want
    assert parse_shape_specs(["x:1..8x3x64x64"], model)["x"].usual == (8, 3, 64, 64)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("z:1x2", "no input 'z'"),
        ("x:1x2", "rank"),
        ("1x3x8x8", "does not say which"),
        ("x:1x3x8xq!", "not a dim"),
        ("x:", "no shape"),
        ("x:1x3x8x8,x:1x3x8x8", "twice"),
        ("x:1x3x8x8/2x3x8x8", "2 shapes"),
        ("x:2x3x8x8/1x3x8x8/3x3x8x8", "order"),
        ("x:1x3/1x3x8x8/1x3x8x8", "rank"),
        ("x:[1..8,3,h,8]", "range"),
        ("nonsense", "does not say which"),
        ("x:1x3x8x99999999999999999999", "not a dim"),
    ],
)
def test_what_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_shape_specs([text], _model(x=["n", 3, "h", "w"], y=["n"]))
    assert words in str(caught.value)
    assert caught.value.hint
