"""SpellResize: resizing of known size as a product along each axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._resampling import Axis, Sampling
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

_TAKEN = frozenset(
    {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"}
)
"""Where TensorRT can place the elements."""

_CUBIC = -0.75
"""ONNX's default of ``cubic_coeff_a``."""


def _refuses(match: Match) -> str | None:
    placed = match.attr("coordinates") in _TAKEN
    if placed and match.attr("policy") in (None, "stretch") and not match.attr_int("antialias"):
        return ""
    if match.attr("mode") not in ("linear", "cubic"):
        return "it takes the nearest element"
    if match.dtype("x") not in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
        return "its element type has no products"
    if isinstance(axes := _axes(match), str):
        return axes
    outside = match.attr("outside")
    crops = match.attr("coordinates") == "tf_crop_and_resize"
    return "what lies outside is not zero" if crops and outside not in (None, 0.0) else None


def _sampling(match: Match) -> Sampling:
    cubic = match.attr("cubic")
    return Sampling(
        str(match.attr("mode")),
        str(match.attr("coordinates")),
        bool(match.attr_int("antialias")),
        bool(match.attr_int("exclude")),
        float(cubic) if isinstance(cubic, (int, float)) else _CUBIC,
    )


def _axes(match: Match) -> dict[int, Axis] | str:
    """The axes whose size changes or that are cropped, or why they are not known."""
    shape = match.static_shape("x")
    if shape is None:
        return "the sizes of what is resized are not known"
    named = match.attr_ints("axes")
    over = [axis % len(shape) for axis in named] if named is not None else list(range(len(shape)))
    scales, resized = _targets(match, [shape[axis] for axis in over])
    if not scales:
        return "the sizes it is resized to are computed"
    ends = [(0.0, 1.0)] * len(over)
    if match.attr("coordinates") == "tf_crop_and_resize":
        region = match.constant("roi") if "roi" in match else None
        if region is None or len(region) != 2 * len(over):
            return "the region of interest is computed"
        ends = [(float(region[i]), float(region[len(over) + i])) for i in range(len(over))]
    found = {}
    for index, axis in enumerate(over):
        step = Axis(shape[axis], resized[index], scales[index], ends[index])
        if step.size != step.resized or step.ends != (0.0, 1.0):
            found[axis] = step
    return found or "no axis changes"


def _targets(match: Match, sizes: list[int]) -> tuple[list[float], list[int]]:
    """Scale and size after, by axis; nothing where they are computed."""
    if "scales" in match and (given := match.constant("scales")) is not None and given.size:
        scales = [float(scale) for scale in given]
        return scales, [math.floor(size * scale) for size, scale in zip(sizes, scales, strict=True)]
    wanted = match.ints("sizes") if "sizes" in match else None
    if not wanted:
        return [], []
    scales = [after / before for after, before in zip(wanted, sizes, strict=True)]
    policy = match.attr("policy")
    if policy in (None, "stretch"):
        return scales, list(wanted)
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [scale] * len(sizes), [math.floor(size * scale + 0.5) for size in sizes]


def _spelled(match: Match) -> Replacement:
    axes, rank, dtype = _axes(match), match.rank("x"), match.dtype("x")
    assert isinstance(axes, dict), "the guard asks for it"
    assert rank is not None, "the guard asks for it"
    assert dtype is not None, "the guard asks for it"
    lines, constants, value = [], dict[str, Constant](), "x"
    for axis, step in sorted(axes.items()):
        weights = _sampling(match).weights(step).astype(dtype.numpy())
        name, last = f"weights{axis}", axis == rank - 1
        constants[name] = weights.T if last else weights
        if last or axis == rank - 2:
            operands = f"{value}, {name}" if last else f"{name}, {value}"
            lines.append(f"resized{axis} = MatMul ({operands})")
        else:
            perm = [*range(rank)]
            perm[axis], perm[-2] = perm[-2], perm[axis]
            lines.append(f"turned{axis} = Transpose <perm = {perm}> ({value})")
            lines.append(f"product{axis} = MatMul ({name}, turned{axis})")
            lines.append(f"resized{axis} = Transpose <perm = {perm}> (product{axis})")
        value = f"resized{axis}"
    return Replacement("\n".join([*lines, f"y = {value}"]), constants)


def _draw(draw: Draw) -> None:
    """Smaller and larger, with and without a spread."""
    draw.input("x", 1, 2, 8, 9)
    draw.attribute("antialias", 1)
    draw.attribute("mode", draw.choice("linear", "cubic"))
    draw.attribute("coordinates", draw.choice("half_pixel", "align_corners", "pytorch_half_pixel"))
    draw.attribute("policy", None)
    draw.attribute("axes", None)
    draw.attribute("exclude", draw.choice(0, 1))
    draw.attribute("cubic", draw.choice(None, -0.5))
    draw.attribute("outside", None)
    draw.attribute("nearest", "round_prefer_floor")
    draw.omit("roi")
    draw.omit("scales")
    draw.constant("sizes", draw.choice([1, 2, 3, 4], [1, 2, 5, 13]))


def _draw_policy(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("antialias", 0)
    draw.attribute("exclude", 0)
    draw.attribute("policy", draw.choice("not_larger", "not_smaller"))
    draw.attribute("axes", (2, 3))
    draw.constant("sizes", [5, 7])


def _draw_symmetric(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("antialias", 0)
    draw.attribute("exclude", 0)
    draw.attribute("coordinates", "half_pixel_symmetric")
    draw.omit("sizes")
    draw.missing.discard("scales")
    draw.constant("scales", np.asarray([1, 1, 0.6, 2.3], np.float32))


def _draw_crop(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("antialias", 0)
    draw.attribute("exclude", 0)
    draw.attribute("coordinates", "tf_crop_and_resize")
    draw.missing.discard("roi")
    draw.constant("roi", np.asarray([0, 0, 0.2, 0.3, 1, 1, 0.9, 1.2], np.float32))
    draw.constant("sizes", [1, 2, 5, 4])


def _draw_taken(draw: Draw) -> None:
    _draw(draw)
    draw.attribute("antialias", 0)


def _draw_nearest(draw: Draw) -> None:
    _draw_symmetric(draw)
    draw.attribute("mode", "nearest")


_BEFORE = """
    y = Resize <antialias = @antialias, mode = @mode, coordinate_transformation_mode = @coordinates,
        keep_aspect_ratio_policy = @policy, axes = @axes, exclude_outside = @exclude,
        cubic_coeff_a = @cubic, extrapolation_value = @outside, nearest_mode = @nearest>
        (x, roi?, scales?, sizes?)
"""

RULES = tuple(
    Rule(
        name,
        before=_BEFORE,
        after=_spelled,
        guard=_refuses,
        min_opset=19,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=draw,
        refusals=(Refusal(_draw_taken), Refusal(_draw_nearest, "nearest")),
    )
    for name, draw in (
        ("spread", _draw),
        ("ratio-kept", _draw_policy),
        ("symmetric", _draw_symmetric),
        ("cropped", _draw_crop),
    )
)


@dataclass(frozen=True)
class SpellResize(Pass):
    """Multiply each resized axis by the weights its elements take.

    TensorRT has no antialiasing, keeps no ratio, crops nothing and knows no symmetric half pixels.

    Before: ``y = Resize<mode="cubic", antialias=1>(x, , , [1, 3, 224, 224])``.
    After:  ``y = MatMul(MatMul(rows, x), columns)`` with a weight for each pair of elements.
    Needs:  all sizes, and constant scales, sizes and regions; float32 or float16.
    Keeps:  what TensorRT resizes itself.
    Skips:  nearest elements; crops that fill up with something else than zero.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES[:1], self.name(), ctx)
