"""Shapes for analyses: also where a shape is itself computed, as exporters of dynamic models write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

# Folding needs the constants as initializers and the shapes; each fold makes further shapes known.
_FOLD = "lift-constants,fold-constants,infer-shapes,fold-shape-of-known,fold-constants,infer-shapes"


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
    what its original computes.
    """
    from graphopt.ir.shapes import infer_shapes

    known = {v.name: v for node in donor.graph for v in node.outputs if v.name and _is_known(v)}
    known |= {name: value for name, value in donor.graph.initializers.items() if _is_known(value)}
    adopted = False
    for node in model.graph:
        for value in node.outputs:
            namesake = known.get(value.name or "")
            if namesake is not None and not _is_known(value):
                value.shape = namesake.shape
                value.type = value.type or namesake.type
                adopted = True
    if adopted and not _all_known(model):
        infer_shapes(model)


def _all_known(model: ir.Model) -> bool:
    return all(_is_known(v) for node in model.graph for v in node.outputs if v.name)


def _folded(model: ir.Model) -> ir.Model:
    from graphopt.driver.opt import optimize

    return optimize(model.clone(), passes=_FOLD)


def _is_known(value: ir.Value) -> bool:
    return value.shape is not None and value.shape.is_static()
