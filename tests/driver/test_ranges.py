"""Shapes that inputs may have: as typed, for every input with open dims, and for values inside the model."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

from graphopt.backends.base import RegionRefused
from graphopt.backends.engine_options import ShapeRange
from graphopt.driver.compilation.inputs import feeds_within, import_with_ranges, judging_inputs
from graphopt.driver.compilation.options import CompileOptions
from graphopt.driver.compilation.profiles import Profiles
from graphopt.driver.compilation.ranges import Ranges, model_ranges, shape_specs
from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import oracle_runner
from graphopt.errors import UsageError
from graphopt.ir.freeze import set_input_shapes
from graphopt.placement.extract import extract_region
from graphopt.placement.place import Region

PAIR = """
<ir_version: 10, opset_import: ["": 23]>
g (float[batch,length] x, float[batch,8] z) => (float[batch,n] y, int64[2,k] hits)
<int64[1] last = {-1}, int64[1] first = {0}, int64[1] one = {1}, int64[2] double = {1, 2}>
{
  wide = Tile (x, double)
  both = Concat <axis = 1> (wide, z)
  y = Relu (both)
  hits = NonZero (x)
}
"""


def ranges_of(**options: object) -> Ranges | None:
    """The ranges a compile of PAIR works with."""
    return import_with_ranges(
        onnx.parser.parse_model(PAIR),
        CompileOptions(**options),
        engines=True,  # type: ignore[arg-type]
    )[1]


def test_least_usual_and_most_are_three_shapes_of_every_open_input() -> None:
    found = ranges_of(min_shapes=["x:1x4"], opt_shapes=["x:2x16"], max_shapes=["x:8x64"])
    assert found is not None
    assert found.least == {"x": (1, 4), "z": (1, 8)}
    assert found.usual == {"x": (2, 16), "z": (2, 8)}
    assert found.most == {"x": (8, 64), "z": (8, 8)}


@pytest.mark.parametrize(
    "options",
    [
        {"shapes": ["x:1x4/2x16/8x64"]},
        {"shapes": ["x:1..2..8,4..16..64"]},
        {"min_shapes": {"x": (1, 4)}, "opt_shapes": {"x": (2, 16)}, "max_shapes": {"x": (8, 64)}},
    ],
    ids=["triple", "dims", "mapping"],
)
def test_other_spellings_mean_the_same(options: dict[str, object]) -> None:
    found = ranges_of(**options)
    assert found is not None
    assert found.to_json()["x"] == {"least": [1, 4], "usual": [2, 16], "most": [8, 64]}


def test_what_is_left_out_is_filled_in() -> None:
    only_most = ranges_of(max_shapes=["x:8x64"])
    assert only_most is not None
    assert (only_most.least["x"], only_most.usual["x"]) == ((1, 1), (8, 64))
    fixed = ranges_of(opt_shapes=["x:2x16"])
    assert not fixed


def test_a_dim_that_does_not_move_is_fixed() -> None:
    model, found = import_with_ranges(
        onnx.parser.parse_model(PAIR),
        CompileOptions(min_shapes=["x:2x4"], max_shapes=["x:2x64"]),
        engines=True,
    )
    assert [str(value.shape) for value in model.graph.inputs] == ["[2,length]", "[2,8]"]
    assert found is not None
    assert list(found.usual) == ["x"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "axis 0 of input 'x' is open, and an engine needs to know how large it may be"),
        ({"min_shapes": ["x:1x4"]}, "'x' has a smallest shape and no largest"),
        ({"min_shapes": ["x:4x4"], "max_shapes": ["x:2x8"]}, "not in the order smallest, usual, largest"),
        ({"shapes": ["x:1x4"], "max_shapes": ["x:2x8"]}, "the shape of input 'x' is given twice"),
        ({"max_shapes": ["x:8x64", "z:4x8"]}, "'batch' of input 'z' is given two ranges"),
        ({"max_shapes": ["w:8x64"]}, "the model has no input 'w'"),
        ({"max_shapes": ["x:8"]}, "rank"),
        ({"max_shapes": ["x:8x?"]}, "has dims that are no numbers"),
        ({"max_shapes": {"q": (1, 2)}}, "the model has no input 'q'"),
    ],
    ids=["nothing", "no-most", "order", "twice", "two", "unknown", "rank", "open", "unknown-key"],
)  # fmt: skip
def test_what_contradicts_itself_is_one_clear_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ranges_of(**options)


def test_the_hint_is_spelled_for_the_model() -> None:
    with pytest.raises(UsageError) as caught:
        ranges_of()
    assert "--shape x:1x128 --shape z:1x8, or a range with --min-shapes" in caught.value.hint


def test_ranges_are_for_engines() -> None:
    with pytest.raises(UsageError, match="ranges of shapes are for engines"):
        import_with_ranges(
            onnx.parser.parse_model(PAIR), CompileOptions(max_shapes=["x:8x64"]), engines=False
        )


def test_a_region_inside_gets_the_shapes_its_inputs_take() -> None:
    model = import_model(onnx.parser.parse_model(PAIR))
    specs = shape_specs(model, ["x:1x4/2x16/8x64"])
    set_input_shapes(model, specs)
    ranges = model_ranges(model, specs)
    optimize_model(model, pipeline(level=1))
    relu = next(node for node in model.graph if node.op_type == "Relu")
    name = relu.inputs[0].name or ""  # type: ignore[union-attr]
    piece = extract_region(model, Region(0, "engine", (relu,), (name,), ("y",)))
    (profile,) = Profiles(model, ranges).of(piece)
    assert profile == {name: ShapeRange((1, 16), (2, 40), (8, 136))}


def test_a_size_that_depends_on_data_is_refused() -> None:
    model = import_model(
        onnx.parser.parse_model(PAIR.replace("hits = NonZero (x)", "w = NonZero (x) hits = Neg (w)"))
    )
    specs = shape_specs(model, ["x:1x4/2x16/8x64"])
    set_input_shapes(model, specs)
    ranges = model_ranges(model, specs)
    optimize_model(model, pipeline(level=1))
    neg = next(node for node in model.graph if node.op_type == "Neg")
    piece = extract_region(model, Region(0, "engine", (neg,), ("w",), ("hits",)))
    with pytest.raises(RegionRefused, match="how large its input 'w' gets depends on data"):
        Profiles(model, ranges).of(piece)


def test_feeds_are_of_the_usual_and_of_both_extreme_sizes() -> None:
    model, ranges = import_with_ranges(
        onnx.parser.parse_model(PAIR), CompileOptions(shapes=["x:1x4/2x16/8x64"]), engines=True
    )
    assert ranges is not None
    shapes = [feed["x"].shape for feed in feeds_within(model, ranges, oracle_runner)]
    assert shapes == [(2, 16), (2, 16), (2, 16), (1, 4), (8, 64)]


def test_a_size_the_model_itself_does_not_run_at_is_named() -> None:
    text = PAIR.replace("y = Relu (both)", "h = Reshape (both, six) y = Relu (h)")
    text = text.replace("<int64[1] last", "<int64[2] six = {-1, 16}, int64[1] last")
    model, ranges = import_with_ranges(
        onnx.parser.parse_model(text), CompileOptions(shapes=["x:1x4/1x4/1x5"]), engines=True
    )
    assert ranges is not None
    with pytest.raises(UsageError, match="does not run at its largest shapes x:1x5"):
        feeds_within(model, ranges, oracle_runner)


def test_feeds_outside_the_range_are_refused_before_anything_is_built() -> None:
    model, ranges = import_with_ranges(
        onnx.parser.parse_model(PAIR), CompileOptions(shapes=["x:1x4/2x16/8x64"]), engines=True
    )
    feeds = {"x": np.ones((9, 4), np.float32), "z": np.ones((9, 8), np.float32)}
    with pytest.raises(UsageError, match="'x' is given with shape 9x4, outside the range 1x4 to 8x64"):
        judging_inputs(model, ranges, feeds, oracle_runner)
    inside = {name: array[:8] for name, array in feeds.items()}
    assert judging_inputs(model, ranges, inside, oracle_runner) is inside


def test_texts_and_sequences_need_no_range() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23]>\n'
        "g (string[n] words, seq(float[m]) parts, float[4] x) => (float[4] y) { y = Neg (x) }"
    )
    model, ranges = import_with_ranges(onnx.parser.parse_model(text), CompileOptions(), engines=True)
    assert len(model.graph.inputs) == 3
    assert not ranges


def test_behind_an_open_text_no_size_is_guessed() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 23]>\n'
        "g (string[2, m] words) => (float[k] y) "
        "{ n = Shape (words)  z = ConstantOfShape (n)  y = Squeeze (z) }"
    )
    model, ranges = import_with_ranges(onnx.parser.parse_model(text), CompileOptions(), engines=True)
    assert ranges is not None
    optimize_model(model, pipeline("infer-shapes"))
    squeeze = next(node for node in model.graph if node.op_type == "Squeeze")
    piece = extract_region(model, Region(0, "engine", (squeeze,), ("z",), ("y",)))
    with pytest.raises(RegionRefused, match="how large its input 'z' gets depends on data"):
        Profiles(model, ranges).of(piece)
