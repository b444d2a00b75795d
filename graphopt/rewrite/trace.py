"""Why a rule did not fire, node by node: the place where it came nearest, laid beside its left side.

The driver's own misses are one sentence each, because they are collected on every run. A trace is
made when a person asks; it repeats the match and keeps what each node of the pattern met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import walk
from graphopt.rewrite import opfacts
from graphopt.rewrite.conditions import judge
from graphopt.rewrite.match import Match, Miss
from graphopt.rewrite.matcher import Matcher, operand_orders
from graphopt.rewrite.pattern import Pattern
from graphopt.rewrite.rule import Rule, anchors
from graphopt.rewrite.scope import Scope
from graphopt.rewrite.syntax import AttrRef, Call, Name


@dataclass(frozen=True)
class Step:
    """One node of the pattern and what stands in its place.

    Attributes:
        expected: the node as the rule writes it.
        found: name and operator of the node there; empty when there is none.
        holds: whether it is what the rule wants.
        reason: why not; empty when it holds, or when matching did not get as far as this node.
    """

    expected: str
    found: str
    holds: bool
    reason: str


@dataclass(frozen=True)
class NearMiss:
    """The place where a rule came nearest to firing.

    Attributes:
        rule: its name.
        node: name of the node the pattern's root was held against.
        score: parts (nodes and literals) of the pattern that were there.
        parts: how many the pattern has.
        reason: what stopped it.
        steps: the pattern's nodes in order.
    """

    rule: str
    node: str
    score: int
    parts: int
    reason: str
    steps: tuple[Step, ...]


class _Aligner(Matcher):
    """A matcher that can also say how far the graph agrees with the pattern, node by node."""

    def align(self) -> dict[int, tuple[ir.Node | None, str]]:
        """Lay the graph beside the pattern from the root upwards, wherever that leads.

        Returns:
            For each pattern node that was reached, by its index: the node in its place (None when no
            node computes the value) and what about it contradicts the pattern, empty when nothing does.
        """
        found: dict[int, tuple[ir.Node | None, str]] = {}
        pending: list[tuple[int, ir.Node]] = [(self.pattern.root, self.node)]
        while pending:
            index, node = pending.pop()
            if index in found:
                continue
            call = self.pattern.calls[index]
            if (node.domain, node.op_type) != call.key:
                found[index] = (node, f"expected {call.op_type}, found {node.op_type}")
                continue
            inputs = max(
                operand_orders(call, node), key=lambda order: self._fits_inputs(call, order, node).score
            )
            found[index] = (
                node,
                self._local_mismatch(call, node) or self._operand_mismatch(call, inputs, node),
            )
            for arg, value in zip(call.inputs, inputs, strict=False):
                inner = self.pattern.producer.get(arg.name) if isinstance(arg, Name) else None
                if inner is None:
                    continue
                producer = None if value is None else value.producer()
                if producer is not None:
                    pending.append((inner[0], producer))
                else:
                    what = "nothing" if value is None else f"{value.name!r}, which no node computes"
                    found.setdefault(inner[0], (None, f"found {what}"))
        return found

    def _operand_mismatch(self, call: Call, inputs: tuple[ir.Value | None, ...], node: ir.Node) -> str:
        """What about the constants and missing inputs of a node contradicts the pattern."""
        for arg, value in zip(call.inputs, inputs, strict=False):
            if isinstance(arg, Name) and (arg.variadic or arg.name in self.pattern.producer):
                continue
            fit = self._fits_value(call, arg, value, node)
            if not fit.ok:
                return fit.reason
        return ""


def near_misses(model: ir.Model, rules: Sequence[Rule]) -> list[NearMiss]:
    """For each rule that fires nowhere in ``model`` as it is, the place where it came nearest.

    Args:
        model: left unchanged.
        rules: of one pass or of several.

    Returns:
        At most one per rule, the nearest first; rules whose root operator does not occur, and those
        of which not even the second part was found, have none.
    """
    index, scope = anchors(rules), Scope(model)
    scope.read()
    best: dict[str, tuple[float, Miss, _Aligner]] = {}
    fires: set[str] = set()
    for node in walk.nodes(model):
        opset = opfacts.opset_of(scope.container(node), model)
        for rule, pattern in index.get((node.domain, node.op_type), ()):
            if rule.name in fires or opset < rule.min_opset:
                continue
            matcher, found = _attempt(rule, pattern, node, opset, scope)
            if isinstance(found, Match):
                fires.add(rule.name)
                continue
            nearness = found.score / found.parts
            if found.reason and found.score > 1 and nearness > best.get(rule.name, (0.0,))[0]:
                best[rule.name] = (nearness, found, matcher)
    ranked = sorted(
        ((near, name, miss, matcher) for name, (near, miss, matcher) in best.items() if name not in fires),
        key=lambda item: (-item[0], item[1]),
    )
    return [
        NearMiss(name, _word(m.node), miss.score, miss.parts, miss.reason, tuple(_steps(m, miss)))
        for _, name, miss, m in ranked
    ]


def _attempt(
    rule: Rule, pattern: Pattern, node: ir.Node, opset: int, scope: Scope
) -> tuple[_Aligner, Match | Miss]:
    def accept(match: Match) -> tuple[ir.Node, str] | None:
        return judge(rule, pattern, match, scope)[1]

    matcher = _Aligner(pattern, node, opset, accept)
    return matcher, matcher.run()


def _steps(matcher: _Aligner, miss: Miss) -> Iterator[Step]:
    pattern = matcher.pattern
    aligned = matcher.align()
    blamed = False
    for index, call in enumerate(pattern.calls):
        node, reason = aligned.get(index, (None, ""))
        if node is miss.node and not reason and all(not why for _, why in aligned.values()):
            # Every node is what the pattern wants: a binding, a use outside or the guard speaks against it.
            reason, blamed = ("" if blamed else miss.reason), True
        found = "" if node is None else _word(node)
        yield Step(_call_text(call), found, index in aligned and node is not None and not reason, reason)


def _word(node: ir.Node) -> str:
    return f"{node.name or '(unnamed)'} ({node.op_type})"


def _call_text(call: Call) -> str:
    attributes = [
        f"{name} = @{value.name}" if isinstance(value, AttrRef) else f"{name} = {value}"
        for name, value in call.attributes
    ]
    attributes += [f"**{call.rest}"] if call.rest is not None else []
    outputs = ", ".join("_" if name is None else str(name) for name in call.outputs)
    inputs = ", ".join("" if arg is None else str(arg) for arg in call.inputs)
    operator = f"{call.domain}.{call.op_type}" if call.domain else call.op_type
    written = f" <{', '.join(attributes)}>" if attributes else ""
    return f"{outputs} = {operator}{written} ({inputs})"
