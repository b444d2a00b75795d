"""FuseEmbedNormalization: three embeddings, their sum and its normalisation as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ops.embed_layer_normalization import EMBED_LAYER_NORMALIZATION
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule

_LOOKUPS = ("a", "b", "c")


def _guard(match: Match) -> str | None:
    rank, axis = match.rank("total"), match.attr_int("axis")
    if rank is None or axis is None or axis % rank != rank - 1:
        return "it normalises other axes than the last"
    tables = [match.static_shape(f"table_{name}") for name in _LOOKUPS]
    ranks = [match.rank(f"ids_{name}") for name in _LOOKUPS]
    if any(table is None or len(table) != 2 for table in tables):
        return "a table is not known to hold one row per index"
    if any(found is None or found not in (1, 2) for found in ranks):
        return "the indices are neither of sequences nor of batches of them"
    widths = {table[1] for table in tables if table is not None}
    return None if len(widths) == 1 else "the tables are of different width"


def _after(match: Match) -> Replacement:
    """The tables by size: words, positions, segments."""
    rows = {name: (match.static_shape(f"table_{name}") or (0,))[0] for name in _LOOKUPS}
    word, position, segment = sorted(_LOOKUPS, key=lambda name: -rows[name])
    ids = ", ".join(f"ids_{name}" for name in (word, position, segment))
    tables = ", ".join(f"table_{name}" for name in (word, position, segment))
    text = f"y = graphopt.EmbedLayerNormalization <epsilon = @e> ({ids}, {tables}, scale, bias)"
    if "bias" in match:
        return Replacement(text)
    dtype, width = match.dtype("scale"), (match.static_shape("table_a") or (0, 0))[1]
    assert dtype is not None, "a scale has a type"
    return Replacement(text, constants={"bias": ir.tensor(np.zeros(width, dtype.numpy()), dtype=dtype)})


def _draw_of(draw: Draw, axis: int | None, ids: tuple[int | str, ...]) -> None:
    rows = dict(zip(_LOOKUPS, draw.choice((7, 5, 2), (2, 7, 5), (5, 5, 7)), strict=True))
    for name in _LOOKUPS:
        draw.constant(f"table_{name}", draw.array(rows[name], 6))
        shape = draw.choice(ids, (1, *ids[1:])) if name == "b" else ids
        draw.input(f"ids_{name}", *shape, dtype=ir.DataType.INT64)
        draw.feeds[f"ids_{name}"] = np.abs(draw.feeds[f"ids_{name}"]) % rows[name]
    draw.attribute("axis", axis)
    draw.attribute("e", draw.choice(1e-3, None))
    draw.constant("scale", draw.array(6))
    draw.constant("bias", draw.array(6))
    if draw.flag():
        draw.omit("bias")


def _draw(draw: Draw) -> None:
    _draw_of(draw, draw.choice(-1, None), ("N", 4))


def _draw_two_axes(draw: Draw) -> None:
    _draw_of(draw, -2, ("N", 4))
    for name in ("scale", "bias"):
        draw.constant(name, draw.array(4, 6))


def _draw_rank(draw: Draw) -> None:
    _draw_of(draw, -1, ("N", 4, 2))


RULES = (
    Rule(
        "layer",
        before="""
            a = Gather <axis = 0> (table_a, ids_a)
            b = Gather <axis = 0> (table_b, ids_b)
            c = Gather <axis = 0> (table_c, ids_c)
            ab = Add (a, b)
            total = Add (ab, c)
            y = LayerNormalization <axis = @axis, epsilon = @e> (total, scale, bias?)
        """,
        after=_after,
        guard=_guard,
        functions=(EMBED_LAYER_NORMALIZATION.function,),
        min_opset=EMBED_LAYER_NORMALIZATION.min_opset,
        exact=False,
        dtypes=(ir.DataType.FLOAT16, ir.DataType.FLOAT),
        draw=_draw,
        refusals=(
            Refusal(_draw_two_axes, "other axes than the last"),
            Refusal(_draw_rank, "neither of sequences"),
        ),
    ),
)


@dataclass(frozen=True)
class FuseEmbedNormalization(Pass):
    """Put three embeddings, their sum and its normalisation into one operator.

    Before: ``LayerNormalization(words[ids] + positions[ids] + segments[ids], scale, bias)``, summed in any
        order.
    After:  ``graphopt.EmbedLayerNormalization(ids, ids, ids, words, positions, segments, scale, bias)``: the
        table with the most rows is that of the words, the one with the fewest that of the segments.
    Needs:  the shapes of the tables. Before ``fuse-skip-normalization``, which takes the last sum.
    Keeps:  the tables, shared or not; a bias of zeros where there is none.
    Skips:  look-ups that something else reads too; tables of different width.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
