"""Fixing shapes and making inputs constant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.ir.freeze import freeze_inputs, parse_constants, set_input_shapes
from graphopt.ir.levels import Level
from graphopt.ir.load import load_model
from graphopt.ir.save import to_bytes
from graphopt.ir.shape_spec import parse_shape_specs
from graphopt.ir.shapes import infer_shapes
from graphopt.ir.verify import verify

PAIR = """<ir_version: 8, opset_import: ["": 18]>
pair (float["batch size", seq] a, float["batch size", seq] b, int64 k)
  => (float["batch size", seq] y, float["?", seq] z) {
  s = Add (a, b)
  t = Concat <axis = 1> (s, a)
  y = Relu (s)
  z = Neg (t)
}"""


@pytest.fixture
def model() -> ir.Model:
    return load_model(onnx.parser.parse_model(PAIR))


def _shape(value: ir.Value) -> list[int | str | None]:
    assert value.shape is not None
    return [d if isinstance(d, int) else d.value for d in value.shape]


def _declared(model: ir.Model) -> dict[str, list[int | str | None]]:
    proto = onnx.load_from_string(to_bytes(model))
    return {
        v.name: [getattr(d, d.WhichOneof("value") or "", None) for d in v.type.tensor_type.shape.dim]
        for v in (*proto.graph.input, *proto.graph.output)
    }


def test_a_name_becomes_a_number_on_every_input_that_shares_it(model: ir.Model) -> None:
    assert set_input_shapes(model, {"a": (2, None)})
    assert [_shape(v) for v in model.graph.inputs[:2]] == [[2, "seq"], [2, "seq"]]
    assert _declared(model)["b"] == [2, "seq"]


def test_shapes_known_before_follow(model: ir.Model) -> None:
    infer_shapes(model)
    set_input_shapes(model, parse_shape_specs(["a:2x5"], model))
    assert _shape(model.graph.outputs[1]) == [2, 10]
    assert _declared(model) == {"a": [2, 5], "b": [2, 5], "k": [], "y": [2, 5], "z": [2, 10]}


def test_what_was_only_declared_does_not(model: ir.Model) -> None:
    """z claims to be as long as seq; it is twice as long."""
    set_input_shapes(model, {"a": (2, 5)})
    assert _shape(model.graph.outputs[1])[1] == "seq"
    infer_shapes(model)
    assert _shape(model.graph.outputs[1]) == [2, 10]


def test_a_dim_can_be_renamed_or_left(model: ir.Model) -> None:
    set_input_shapes(model, {"a": ("n", None)})
    assert [_shape(v) for v in model.graph.inputs[:2]] == [["n", "seq"], ["n", "seq"]]
    assert not set_input_shapes(model, {"a": (None, None)})


@pytest.mark.parametrize(
    ("dims", "words"),
    [
        ({"q": (1, 1)}, "no input 'q'"),
        ({"a": (1,)}, "rank 2, not 1"),
        ({"a": (-3, 1)}, "cannot be -3"),
        ({"a": (1, 2), "b": (3, 2)}, "both 1 and 3"),
    ],
)
def test_contradictions(model: ir.Model, dims: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        set_input_shapes(model, dims)


def test_a_fixed_dim_stays_fixed(model: ir.Model) -> None:
    set_input_shapes(model, {"a": (2, 5)})
    with pytest.raises(UsageError, match="is 2 in the model, not 4"):
        set_input_shapes(model, {"a": (4, None)})


def test_an_input_becomes_an_initializer(model: ir.Model) -> None:
    array = np.ones((3, 4), np.float32)
    assert freeze_inputs(model, {"b": array, "k": np.array(7, np.int64)})
    assert [v.name for v in model.graph.inputs] == ["a"]
    assert _shape(model.graph.inputs[0]) == [3, 4]
    frozen = model.graph.initializers["b"].const_value
    assert frozen is not None
    np.testing.assert_array_equal(frozen.numpy(), array)
    infer_shapes(model)
    assert verify(model, Level.CANONICAL) == []
    assert list(_declared(model)) == ["a", "y", "z"]


def test_a_value_must_fit(model: ir.Model) -> None:
    with pytest.raises(UsageError, match="FLOAT, the value is float64"):
        freeze_inputs(model, {"b": np.ones((3, 4))})
    with pytest.raises(UsageError, match="rank"):
        freeze_inputs(model, {"b": np.ones(4, np.float32)})


def test_values_as_texts(model: ir.Model, tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.zeros((2, 2), np.float32))
    found = parse_constants(["k=16000", "a=[[1, 2.5]]", f"b=@{tmp_path / 'b.npy'}"], model)
    assert found["k"].dtype == np.int64
    assert found["k"] == 16000
    assert found["a"].tolist() == [[1.0, 2.5]]
    assert found["b"].shape == (2, 2)


@pytest.mark.parametrize("text", ["q=1", "k", "k=1.5", "k=one", "a=@missing.npy", "a=[[1],[2,3]]"])
def test_values_that_cannot_be_read(model: ir.Model, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_constants([text], model)
    assert caught.value.hint
