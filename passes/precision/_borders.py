"""Which nodes compute in the lower precision, with as few casts between them as can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx_ir as ir

from graphopt.passes.precision._operators import MOVERS, Places
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.opfacts import MULTIPLYING

_SWEEPS = 4
_WORTH = 2
"""An island without heavy operators is left wide unless it has this many nodes per cast at its shore."""


class Borders:
    """The two labels of a model's nodes, and where a cast stands between them; nothing is changed.

    Args:
        nodes: of all graphs, in order.
        candidates: those that may compute in the lower precision, with the operands that change.
        to: the lower precision.
    """

    def __init__(
        self, nodes: Iterable[ir.Node], candidates: Mapping[ir.Node, Places], to: ir.DataType
    ) -> None:
        self.candidates = candidates
        self.to = to
        self._order = [node for node in nodes if node in candidates]
        self.low: set[ir.Node] = set(self._order)

    def settle(self) -> None:
        """Let movers follow their neighbours and give up islands that are not worth their casts."""
        movers = [n for n in self._order if n.op_type in MOVERS or not self.candidates[n].outputs]
        for _ in range(_SWEEPS):
            moved = sum(self._reconsider(node) for node in (*movers, *reversed(movers)))
            moved += sum(self._give_up(island) for island in self._islands())
            if not moved:
                return

    def given_up(self) -> Iterator[tuple[ir.Node, str]]:
        """The nodes that might compute in the lower precision and do not, and why; movers are left out."""
        for node in self._order:
            if node in self.low or node.op_type in MOVERS or not self.candidates[node].outputs:
                continue
            if node.op_type in MULTIPLYING:
                yield node, "what it multiplies is quantised: that is computed in integers"
            else:
                yield node, "it is one of too few nodes between casts to be worth them"

    def casts_at(self, node: ir.Node) -> int:
        """Casts at the values that ``node`` reads and makes, under the present labels."""
        touched = dict.fromkeys(value for value in (*node.inputs, *node.outputs) if value is not None)
        return sum(self._needs_cast(value) for value in touched)

    def reads_low(self, node: ir.Node, index: int) -> bool:
        """Whether input ``index`` of ``node`` is read in the lower precision."""
        return node in self.low and index in self.candidates[node].inputs

    def is_low(self, value: ir.Value) -> bool:
        """Whether ``value`` is made in the lower precision."""
        node = value.producer()
        return node in self.low and value.index() in self.candidates[node].outputs

    def _needs_cast(self, value: ir.Value) -> bool:
        if value.dtype != ir.DataType.FLOAT or constant_tensor(value) is not None:
            return False  # a constant is stored in either precision
        if narrow_source(value, self.to) is not None:
            return False  # it is there already
        made = self.is_low(value)
        if made and value.is_graph_output():
            return True
        return any(self.reads_low(use.node, use.idx) != made for use in value.uses())

    def _reconsider(self, node: ir.Node) -> bool:
        """Change the label of a mover if that saves casts."""
        before = self.casts_at(node)
        self.low ^= {node}
        if self.casts_at(node) < before:
            return True
        self.low ^= {node}
        return False

    def _islands(self) -> list[list[ir.Node]]:
        """Groups of nodes in the lower precision that pass values to one another."""
        seen: set[ir.Node] = set()
        found: list[list[ir.Node]] = []
        for start in self._order:
            if start not in self.low or start in seen:
                continue
            seen.add(start)
            island, work = [], [start]
            while work:
                node = work.pop()
                island.append(node)
                fresh = [other for other in self._neighbours(node) if other not in seen]
                seen.update(fresh)
                work.extend(dict.fromkeys(fresh))
            found.append(island)
        return found

    def _neighbours(self, node: ir.Node) -> Iterable[ir.Node]:
        entry = self.candidates[node]
        for index in entry.inputs:
            value = node.inputs[index]
            if value is not None and self.is_low(value):
                yield value.producer()  # type: ignore[misc]
        for index in entry.outputs:
            for use in node.outputs[index].uses():
                if self.reads_low(use.node, use.idx):
                    yield use.node

    def _is_quantised(self, node: ir.Node) -> bool:
        """Whether all that ``node`` multiplies was quantised: a runtime computes that in integers."""
        operands = [node.inputs[index] for index in self.candidates[node].inputs[:2]]
        return all(_is_dequantised(value) for value in operands)

    def _give_up(self, island: list[ir.Node]) -> bool:
        if any(node.op_type in MULTIPLYING and not self._is_quantised(node) for node in island):
            return False
        values = dict.fromkeys(
            value for node in island for value in (*node.inputs, *node.outputs) if value is not None
        )
        casts = sum(self._needs_cast(value) for value in values)
        arithmetic = sum(node.op_type not in MOVERS for node in island)
        if casts == 0 or arithmetic >= _WORTH * casts:
            return False
        self.low.difference_update(island)
        return True


def _is_dequantised(value: ir.Value | None) -> bool:
    node = None if value is None else value.producer()
    while node is not None and node.domain == "" and node.op_type in MOVERS:
        source = node.inputs[0]
        node = None if source is None else source.producer()
    return node is not None and node.op_type == "DequantizeLinear"


def narrow_source(value: ir.Value, to: ir.DataType) -> ir.Value | None:
    """The value of type ``to`` that ``value`` is a cast of, or None."""
    node = value.producer()
    if node is None or node.op_type != "Cast" or node.domain != "":
        return None
    source = node.inputs[0]
    return source if source is not None and source.dtype == to else None
