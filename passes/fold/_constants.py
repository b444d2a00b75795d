"""New initializers for a pass: one per content, named after the node that first wants it."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir.freeze import all_values


class Constants:
    """Makes small initializers of the main graph, which every subgraph sees.

    Args:
        model: where they go.
    """

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._model = model
        self._made: dict[Hashable, ir.Value] = {}
        self._names: set[str] | None = None

    def get(self, node: ir.Node, array: npt.NDArray[np.generic]) -> ir.Value:
        """The initializer that holds ``array``."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._made:
            self._made[key] = self._make(node, array)
        return self._made[key]

    def _make(self, node: ir.Node, array: npt.NDArray[np.generic]) -> ir.Value:
        name = self.unique(f"{node.outputs[0].name}.shape")
        tensor = ir.tensor(array, name=name)
        value = ir.Value(
            name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
        )
        self._graph.register_initializer(value)
        return value

    def unique(self, name: str) -> str:
        """A name nothing else in the model has."""
        if self._names is None:  # most runs of a pass make nothing
            self._names = {value.name or "" for value in all_values(self._model)}
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate
