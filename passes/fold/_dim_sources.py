"""Where the sizes of dims can be read: a list of sizes as Shape nodes over stretches of some value's dims."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir.element_arithmetic import Array
from graphopt.ir.elements import Elements
from graphopt.ir.expressions import Element, Expression
from graphopt.passes.fold._constants import Constants

Run = tuple[Element, ...]


@dataclass(frozen=True)
class Stretch:
    """Dims ``start`` to ``end`` of ``value``.

    Attributes:
        before: the node in front of which they can be read, or None for a graph input.
    """

    value: ir.Value
    start: int
    end: int
    before: ir.Node | None


@dataclass(frozen=True)
class Plan:
    """A list of sizes in pieces: stretches of dims, and numbers; one size alone may be a scalar."""

    pieces: tuple[Stretch | tuple[int, ...], ...]
    is_scalar: bool


class Sources:
    """Finds and builds the cheapest spelling of sizes.

    Args:
        model: its graph inputs can be read anywhere.
        elements: what is known of its values.
    """

    def __init__(self, model: ir.Model, elements: Elements) -> None:
        self._graph = model.graph
        self._elements = elements
        self._constants = Constants(model)
        self._built: dict[Stretch, ir.Value] = {}
        self._inputs: dict[Run, Stretch] = {}
        for value in model.graph.inputs:
            if isinstance(value.type, ir.TensorType):
                _index(self._inputs, value, elements, None)

    def plan(self, wanted: Array, shapes: Sequence[ir.Node]) -> Plan | None:
        """How to say ``wanted`` with the dims of graph inputs and of what ``shapes`` read, or None."""
        table = ChainMap({}, self._inputs)  # what is read nowhere else is not for the next caller
        for node in shapes:
            value = node.inputs[0]
            if value is not None and not value.is_graph_input():
                _index(table, value, self._elements, node)
        listed: Run = tuple(wanted.ravel().tolist())
        pieces: list[Stretch | tuple[int, ...]] = []
        position = 0
        while position < len(listed):
            found = _longest(table, listed, position)
            if found is not None:
                pieces.append(found)
                position += found.end - found.start
                continue
            element = listed[position]
            if isinstance(element, Expression):
                return None
            last = pieces[-1] if pieces else None
            if isinstance(last, tuple):
                pieces[-1] = (*last, int(element))
            else:
                pieces.append((int(element),))
            position += 1
        return Plan(tuple(pieces), wanted.ndim == 0)

    def cost(self, plan: Plan) -> int:
        """Nodes the plan adds."""
        stretches = {piece for piece in plan.pieces if isinstance(piece, Stretch)}
        return len(stretches - self._built.keys()) + (len(plan.pieces) > 1) + plan.is_scalar

    @staticmethod
    def only_inputs(plan: Plan) -> bool:
        """Whether the plan reads graph inputs and nothing else."""
        return all(isinstance(piece, tuple) or piece.before is None for piece in plan.pieces)

    @staticmethod
    def spell(plan: Plan) -> str:
        """The plan in words."""
        words = [
            str(list(piece))
            if isinstance(piece, tuple)
            else f"dims {piece.start}:{piece.end} of {piece.value.name}"
            for piece in plan.pieces
        ]
        return ", ".join(words)

    def build(self, plan: Plan, instead_of: ir.Value) -> ir.Value:
        """The value that the plan says, computed where ``instead_of`` is or before."""
        node = instead_of.producer()
        assert node is not None
        assert node.graph is not None
        parts = [
            self._read(piece, instead_of)
            if isinstance(piece, Stretch)
            else self._constants.get(node, np.asarray(piece, np.int64))
            for piece in plan.pieces
        ]
        if plan.is_scalar:
            axes = self._constants.get(node, np.asarray([0], np.int64))
            last = ir.Node("", "Squeeze", [parts[0], axes])
        elif len(parts) > 1:
            last = ir.Node("", "Concat", parts, [ir.AttrInt64("axis", 0)])
        else:
            return parts[0]
        node.graph.insert_before(node, last)
        return self._finish(last, instead_of, instead_of.shape)

    def _read(self, piece: Stretch, instead_of: ir.Value) -> ir.Value:
        if piece in self._built:
            return self._built[piece]
        attributes = [ir.AttrInt64("start", piece.start), ir.AttrInt64("end", piece.end)]
        node = ir.Node("", "Shape", [piece.value], attributes)
        before = piece.before if piece.before is not None else self._graph[0]
        assert before.graph is not None
        before.graph.insert_before(before, node)
        self._built[piece] = self._finish(node, instead_of, ir.Shape([piece.end - piece.start]))
        return self._built[piece]

    def _finish(self, node: ir.Node, instead_of: ir.Value, shape: ir.Shape | None) -> ir.Value:
        value = node.outputs[0]
        value.name = self._constants.unique(f"{instead_of.name}.dims")
        node.name = value.name
        value.type = ir.TensorType(ir.DataType.INT64)
        value.shape = shape
        return value


def _index(
    table: MutableMapping[Run, Stretch], value: ir.Value, elements: Elements, before: ir.Node | None
) -> None:
    dims = elements.dims(value)
    for start in range(len(dims or ())):
        for end in range(start + 1, len(dims or ()) + 1):
            assert dims is not None
            run = dims[start:end]
            if any(isinstance(size, Expression) for size in run):
                table.setdefault(run, Stretch(value, start, end, before))


def _longest(table: Mapping[Run, Stretch], listed: Run, position: int) -> Stretch | None:
    for end in range(len(listed), position, -1):
        found = table.get(listed[position:end])
        if found is not None:
            return found
    return None
