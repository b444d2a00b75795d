"""What must stay in float32, read off the ranges that were observed and the graph around them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from graphopt.driver.precision.ranges import ORIGIN, Ranges
from graphopt.equality.flow import Flow
from graphopt.equality.steady import steady_values
from graphopt.equality.tolerance import largest, mantissa_bits, smallest_normal
from graphopt.ir.walk import all_nodes
from graphopt.rewrite.opfacts import MULTIPLYING

MARGIN = 4.0
"""Other inputs may reach this many times as far as the samples did."""

_NEAR_ZERO = {"Log": 0, "Reciprocal": 0, "Div": 1}
"""Operators that turn the relative error of an operand near zero into an error of any size."""


class Keeper:
    """Collects the nodes that stay in float32, each with its first reason.

    Args:
        flat: the model without functions (``ranges.flat_copy``).
        to: the lower precision.

    Attributes:
        kept: node of the unflattened model → why it stays.
        overflowing: those of them whose values leave the range.
    """

    def __init__(self, flat: ir.Model, to: ir.DataType) -> None:
        kind = to.numpy()
        self._flat, self._name = flat, to.name.lower()
        self._largest, self._smallest = largest(kind), smallest_normal(kind)
        self._counts_to = float(2 ** (mantissa_bits(kind) + 1))
        self.kept: dict[str, str] = {}
        self.overflowing: set[str] = set()

    def near_zero(self) -> list[ir.Value]:
        """The values whose smallest magnitude the rules ask for."""
        found: dict[ir.Value, None] = {}
        work = [value for _, value in self._sensitive()]
        while work:
            value = work.pop()
            if value in found or value.dtype != ir.DataType.FLOAT:
                continue
            found[value] = None
            node = value.producer()
            if node is not None and _is_light(node):
                work.extend(v for v in node.inputs if v is not None)
        return list(found)

    def apply(self, ranges: Ranges) -> dict[str, str]:
        """Node of the unflattened model → why it stays; every rule is asked."""
        self._inner_graphs()
        self._overflows(ranges)
        self._vanishing(ranges)
        self._counters(ranges)
        self._deciders()
        return self.kept

    def _inner_graphs(self) -> None:
        for graph in self._flat.graph.subgraphs():
            for node in graph:
                self._keep(node, "it is inside a subgraph, whose values are not observed")

    def _overflows(self, ranges: Ranges) -> None:
        for value, peak in ranges.peaks.items():
            if peak * MARGIN > self._largest:
                self._keep_around(
                    value, f"'{value.name}' reaches {peak:.3g}, {self._name} ends at {self._largest:.5g}"
                )
                around = [value.producer(), *(use.node for use in value.uses())]
                self.overflowing.update(_origin(node) for node in around if node is not None)

    def _vanishing(self, ranges: Ranges) -> None:
        for node, value in self._sensitive():
            least = ranges.least.get(value, 1.0)
            if least < self._smallest:
                reason = (
                    f"'{value.name}', which {node.op_type} reads, goes down to {least:.2g}, "
                    f"{self._name} loses digits below {self._smallest:.2g}"
                )
                self._keep(node, reason)
                self._keep_makers(value, ranges, reason)

    def _keep_makers(self, value: ir.Value, ranges: Ranges, reason: str) -> None:
        """A value is as exact as what it was made of: back to where values are ordinary or sums of many."""
        work, seen = [value], {value}
        while work:
            node = work.pop().producer()
            if node is None or not _is_light(node):
                continue
            self._keep(node, reason)
            for operand in node.inputs:
                if operand is None or operand in seen or ranges.least.get(operand, 1.0) >= self._smallest:
                    continue
                seen.add(operand)
                work.append(operand)

    def _counters(self, ranges: Ranges) -> None:
        for node in self._flat.graph:
            source = node.inputs[0] if node.op_type == "Cast" and node.domain == "" else None
            if source is None or source.dtype is None or not source.dtype.is_integer():
                continue
            value = node.outputs[0]
            peak = ranges.peaks.get(value, 0.0)
            if peak > self._counts_to:
                self._keep_around(
                    value,
                    f"'{value.name}' counts to {peak:.0f}, {self._name} is exact to {self._counts_to:.0f}",
                )

    def _deciders(self) -> None:
        steady = steady_values(self._flat, Flow(self._flat))
        for node in all_nodes(self._flat.graph):
            if any(value in steady and value.dtype == ir.DataType.FLOAT for value in node.outputs):
                self._keep(node, "it decides a shape, an index or an integer")

    def _sensitive(self) -> Iterator[tuple[ir.Node, ir.Value]]:
        for node in self._flat.graph:
            index = _NEAR_ZERO.get(node.op_type) if node.domain == "" else None
            value = None if index is None else node.inputs[index]
            if value is not None and value.dtype == ir.DataType.FLOAT and value.producer() is not None:
                yield node, value

    def _keep_around(self, value: ir.Value, reason: str) -> None:
        producer = value.producer()
        if producer is not None:
            self._keep(producer, reason)
        for use in value.uses():
            self._keep(use.node, reason)

    def _keep(self, node: ir.Node, reason: str) -> None:
        self.kept.setdefault(_origin(node), reason)


def _origin(node: ir.Node) -> str:
    return node.metadata_props.get(ORIGIN) or node.name or ""


def _is_light(node: ir.Node) -> bool:
    """Whether each result comes from few operands: no product that mixes many."""
    return node.domain == "" and node.op_type not in MULTIPLYING
