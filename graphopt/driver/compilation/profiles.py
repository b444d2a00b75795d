"""Optimisation profiles of regions: from the shapes of a model's inputs to those of any value inside."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from graphopt.backends.base import RegionRefused
from graphopt.backends.engine_options import Profile, ShapeRange
from graphopt.driver.compilation.ranges import Ranges, dim_sizes, evaluate

Extents = tuple[int, ...]


class Profiles:
    """Works out the profile of any region of one placed model.

    Args:
        model: the placed model, with symbolic shapes.
        ranges: of its inputs; empty when they are fixed.
    """

    def __init__(self, model: ir.Model, ranges: Ranges) -> None:
        self._model = model
        self._shapes = (ranges.least, ranges.usual, ranges.most)
        self._sizes = tuple(dim_sizes(model, shapes) for shapes in self._shapes)
        self._known: dict[int, Mapping[str, Extents]] = {}

    def fix(self, region: ir.Model) -> None:
        """Write numbers on a region's inputs where a dim is the same for all inputs of the model."""
        for value in _open_inputs(region):
            found = self._range(value)
            if found is None:
                continue
            dims = [low if low == high else None for low, high in zip(found.least, found.most, strict=True)]
            old = value.shape if value.shape is not None else ir.Shape([None] * len(dims))
            value.shape = ir.Shape([d if n is None else n for d, n in zip(old, dims, strict=True)])

    def of(self, region: ir.Model) -> tuple[Profile, ...]:
        """One profile, or none when every input of the region has a fixed shape.

        Raises:
            RegionRefused: an input of the region has a shape that depends on data.
        """
        found: dict[str, ShapeRange] = {}
        for value in _open_inputs(region):
            shapes = self._range(value)
            if shapes is None:
                raise RegionRefused(f"how large its input '{value.name}' gets depends on data")
            found[value.name or ""] = shapes
        return (found,) if found else ()

    def _range(self, value: ir.Value) -> ShapeRange | None:
        """The shapes a value may have; None when they cannot be told from those of the model's inputs."""
        low, usual, high = (self._extents(value, which) for which in range(3))
        if low is None or usual is None or high is None:
            return None
        # A size may fall as an input grows: what is left to a fixed length, say.
        columns = list(zip(low, usual, high, strict=True))
        return ShapeRange(tuple(map(min, columns)), usual, tuple(map(max, columns)))

    def _extents(self, value: ir.Value, which: int) -> Extents | None:
        """The shape of a value for the smallest (0), usual (1) or largest (2) inputs."""
        if value.shape is not None:
            sizes = self._sizes[which]
            dims = [d if isinstance(d, int) else evaluate(d, sizes) for d in value.shape]
            if all(d is not None for d in dims):
                return tuple(d for d in dims if d is not None)
        return self._inferred(which).get(value.name or "")

    def _inferred(self, which: int) -> Mapping[str, Extents]:
        """Every static shape of the model for one size of its inputs, shape arithmetic computed.

        None where an input is open that nothing bounds, as texts may be: its sizes would be guesses.
        """
        from graphopt.driver.shapes import with_sizes

        if any(value.name not in self._shapes[which] for value in _open_inputs(self._model)):
            return {}
        if which not in self._known:
            sized = with_sizes(self._model, self._shapes[which])
            values = (value for node in sized.graph for value in node.outputs)
            self._known[which] = {
                value.name: tuple(value.shape.numpy())
                for value in values
                if value.name and value.shape is not None and value.shape.is_static()
            }
        return self._known[which]


def _open_inputs(region: ir.Model) -> list[ir.Value]:
    inputs = (value for value in region.graph.inputs if not value.is_initializer())
    return [value for value in inputs if value.shape is None or not value.shape.is_static()]
