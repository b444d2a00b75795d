"""Shapes for analyses: also where a shape is itself computed, as exporters of dynamic models write it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

# Folding needs the constants as initializers and the shapes; each fold makes further shapes known.
_FOLD = "lift-constants,fold-constants,infer-shapes,fold-shape-of-known,fold-constants,infer-shapes"

_IMAGE, _SEQUENCE = 224, 128


def with_sizes(model: ir.Model, dims: Mapping[str, Sequence[int]], donor: ir.Model | None = None) -> ir.Model:
    """A copy of ``model`` for one size of its inputs, with every shape that can be known.

    Args:
        model: left as it is; its tensors are shared.
        dims: input → extents; open dims of other inputs are guessed.
        donor: a model of the same values with known shapes, such as the optimised one for its
            original: spares folding the shape arithmetic.

    Raises:
        ModelError: inference found the model to be invalid.
        UsageError: an extent does not fit.
    """
    from graphopt.ir.freeze import INFERRED, set_input_shapes

    copy = model.clone()
    names = {value.name for value in copy.graph.inputs}
    set_input_shapes(copy, {name: extents for name, extents in dims.items() if name in names})
    set_input_shapes(copy, guess_dims(copy))
    if donor is None:
        # What was inferred with names has followed the inputs; what a file merely declares proves nothing.
        if not (copy.graph.meta.get(INFERRED) and _all_known(copy)):
            infer_all_shapes(copy)
        return copy
    adopt_shapes(copy, donor)
    return copy


def guess_dims(model: ir.Model) -> dict[str, list[int | None]]:
    """Dims for inputs with open ones: the first open dim is 1, height and width 224, others 128.

    The same name gets the same number everywhere; dims that are numbers stay (None).
    """
    guesses: dict[str, int] = {}
    inputs = [value for value in model.graph.inputs if value.shape is not None]
    for value in inputs:
        shape = list(value.shape or ())
        names = [(i, d.value) for i, d in enumerate(shape) if not isinstance(d, int) and d.value]
        image = len(shape) == 4 and {i for i, _ in names} >= {2, 3}
        for order, (index, name) in enumerate(names):
            spatial = image and index >= 2
            guesses.setdefault(name, _IMAGE if spatial else 1 if order == 0 else _SEQUENCE)
    return {
        value.name or "": [
            None if isinstance(d, int) else guesses.get(d.value or "") for d in value.shape or ()
        ]
        for value in inputs
        if not all(isinstance(d, int) for d in value.shape or ())
    }


def feed_dims(feeds: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[int, ...]]:
    """Input → extents of the largest of the feeds an equality report names as ``float32[1,128]``."""
    sizes = [
        {
            name: tuple(int(n) for n in re.findall(r"\d+", text.partition("[")[2]))
            for name, text in feed.items()
        }
        for feed in feeds.values()
    ]
    return max(sizes, key=lambda feed: sum(prod(dims) for dims in feed.values()), default={})


def infer_all_shapes(model: ir.Model) -> None:
    """Infer shapes in place; where some stay open, fold the shape arithmetic in a copy and take its shapes.

    Args:
        model: a valid model, best with static inputs; only types and shapes of values change.

    Raises:
        ModelError: inference found the model to be invalid.
    """
    from graphopt.ir.shapes import infer_shapes

    infer_shapes(model)
    if not _all_known(model):
        adopt_shapes(model, _folded(model))


def adopt_shapes(model: ir.Model, donor: ir.Model) -> None:
    """Give values of the main graph that lack a static shape the one of their namesake in ``donor``.

    Passes keep the name of a value as long as it stays the same value, so an optimised model can tell
    what its original computes. The others are inferred, which keeps what was adopted where it cannot tell.
    """
    from graphopt.ir.shapes import infer_shapes

    known = {v.name: v for node in donor.graph for v in node.outputs if v.name and _is_known(v)}
    known |= {name: value for name, value in donor.graph.initializers.items() if _is_known(value)}
    for node in model.graph:
        for value in node.outputs:
            namesake = known.get(value.name or "")
            if namesake is not None and not _is_known(value):
                value.shape = namesake.shape
                value.type = value.type or namesake.type
    if not _all_known(model):
        infer_shapes(model)


def _all_known(model: ir.Model) -> bool:
    return all(_is_known(v) for node in model.graph for v in node.outputs if v.name)


def _folded(model: ir.Model) -> ir.Model:
    from graphopt.driver.opt import optimize

    return optimize(model.clone(), passes=_FOLD)


def _is_known(value: ir.Value) -> bool:
    return value.shape is not None and value.shape.is_static()
