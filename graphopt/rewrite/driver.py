"""Applies rules to a model until none fires.

Every node is visited once in topological order; a rewrite puts the nodes around it back on the list,
as far as the deepest pattern reaches. A node is tried only against the rules whose root is its
operator. The work is therefore proportional to the nodes plus the rewrites.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import onnx_ir as ir

from graphopt.errors import PassError
from graphopt.ir import walk
from graphopt.rewrite import opfacts
from graphopt.rewrite.build import Builder
from graphopt.rewrite.conditions import judge
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.match import Match, Miss
from graphopt.rewrite.matcher import Matcher
from graphopt.rewrite.pattern import Pattern
from graphopt.rewrite.rule import Rule, anchors
from graphopt.rewrite.scope import Scope
from graphopt.rewrite.splice import Splice, would_rebuild_identity

REWRITES_PER_NODE = 10
"""More rewrites than this for each node the model had means that the rules do not converge."""

SAME_REWRITE = 3
"""One rule firing this often on the same operands of the same result means that another undoes it."""

NEIGHBOURS = 64
"""Nodes put back on the list after one rewrite; where there are more, one more sweep follows."""


class RemarkSink(Protocol):
    """Takes what rules did and what they nearly did; ``PassContext`` is one."""

    def applied(self, pass_name: str, node: ir.Node | None, reason: str, rule: str = "") -> None:
        """A rule fired."""

    def missed(self, pass_name: str, node: ir.Node | None, reason: str, rule: str = "") -> None:
        """A rule nearly fired."""


def apply(model: ir.Model, rules: Sequence[Rule], pass_name: str, ctx: RemarkSink) -> bool:
    """Apply ``rules`` to every graph of ``model``, subgraphs and functions included, to a fixpoint.

    Args:
        model: rewritten in place.
        rules: tried in this order at each node.
        pass_name: who speaks in remarks and provenance.
        ctx: takes a remark for each rewrite and, at the end, for each near miss that is left.

    Returns:
        Whether anything changed.

    Raises:
        PassError: two rules undo each other, or a rule keeps firing; the message names them.
    """
    return Driver(model, rules, pass_name, ctx).run()


class Driver:
    """One application of a set of rules; see ``apply``.

    Attributes:
        visits: nodes taken from the list so far.
        rewrites: rules fired so far.
    """

    def __init__(self, model: ir.Model, rules: Sequence[Rule], pass_name: str, ctx: RemarkSink) -> None:
        self.model = model
        self.pass_name = pass_name
        self.ctx = ctx
        self.index = anchors(rules)
        self.reach = max((p.depth for rule in rules for p in rule.patterns), default=1)
        self.visits = 0
        self.rewrites = 0
        self._queue: deque[ir.Node] = deque()
        self._queued: set[ir.Node] = set()
        self._misses: dict[ir.Node, dict[str, Miss]] = {}
        self._seen: Counter[tuple[object, ...]] = Counter()
        self._incomplete = False

    def run(self) -> bool:
        """Rewrite to the fixpoint; whether anything changed."""
        nodes = list(walk.nodes(self.model))
        anchored = [node for node in nodes if (node.domain, node.op_type) in self.index]
        if not anchored:
            return False
        self.scope = Scope(self.model)
        self.budget = REWRITES_PER_NODE * len(nodes) + 100
        self._push(anchored)
        while True:
            self._drain()
            if not self._incomplete:
                break
            self._incomplete = False
            self._push(walk.nodes(self.model))
        self._tell_misses()
        return self.rewrites > 0

    def _drain(self) -> None:
        while self._queue:
            node = self._queue.popleft()
            self._queued.discard(node)
            if node.graph is None:
                continue
            self.visits += 1
            self._visit(node)

    def _push(self, nodes: Iterable[ir.Node]) -> None:
        for node in nodes:
            if node not in self._queued and (node.domain, node.op_type) in self.index:
                self._queued.add(node)
                self._queue.append(node)

    def _visit(self, node: ir.Node) -> None:
        """Fire the first rule that holds at ``node``; remember the near misses of the others."""
        self._misses.pop(node, None)
        opset = opfacts.opset_of(self.scope.container(node), self.model)
        for rule, pattern in self.index[node.domain, node.op_type]:
            if opset < rule.min_opset:
                continue
            found = self._match(rule, pattern, node, opset)
            miss = self._rewrite(rule, pattern, found) if isinstance(found, Match) else found
            if miss is None:
                return
            self._remember(rule, node, miss)

    def _match(self, rule: Rule, pattern: Pattern, node: ir.Node, opset: int) -> Match | Miss:
        accepted: list[Match] = []

        def accept(match: Match) -> tuple[ir.Node, str] | None:
            match, verdict = judge(rule, pattern, match, self.scope)
            accepted.append(match)
            return verdict

        found = Matcher(pattern, node, opset, accept).run()
        return accepted[-1] if isinstance(found, Match) else found

    def _rewrite(self, rule: Rule, pattern: Pattern, match: Match) -> Miss | None:
        """Replace ``match``; None when done, else why it would change nothing."""
        self.scope.read()
        built = Builder(rule.replacement(match), match, pattern.outputs, self.scope, rule.name).run()
        if self._would_recur(match, built.nodes):
            return Miss(match.root, "", pattern.parts, pattern.parts)
        reason = would_rebuild_identity(match, built)
        if reason is not None:
            return Miss(match.root, reason, pattern.parts, pattern.parts)
        self._spend(rule, match)
        before = " + ".join(node.op_type for node in match.nodes)
        after = " + ".join(node.op_type for node in built.nodes) or "nothing"
        self._add_functions(rule, match, built.nodes)
        self.ctx.applied(self.pass_name, match.root, f"{before} became {after}", rule.name)
        touched = Splice(self.scope, match, built, f"{self.pass_name}/{rule.name}").run()
        self._push(self._neighbourhood(touched))
        return None

    def _would_recur(self, match: Match, nodes: list[ir.Node]) -> bool:
        """Whether the match is the body of the very function that the new nodes call."""
        container = self.scope.container(match.root)
        if not isinstance(container, ir.Function):
            return False
        return any(node.op_identifier() == container.identifier() for node in nodes)

    def _neighbourhood(self, touched: list[ir.Node]) -> list[ir.Node]:
        """``touched`` and what reads them, as far as a pattern reaches."""
        found = dict.fromkeys(touched)
        frontier = list(found)
        for _ in range(self.reach - 1):
            frontier = [n for n in _readers(frontier, NEIGHBOURS) if n not in found]
            found.update(dict.fromkeys(frontier))
            if len(found) > NEIGHBOURS:
                self._incomplete = True
                break
        return list(found)

    def _spend(self, rule: Rule, match: Match) -> None:
        """Count a rewrite against the budget and against itself."""
        self.rewrites += 1
        signature = _signature(rule, match)
        self._seen[signature] += 1
        place = match.root.outputs[0].name
        if self._seen[signature] > SAME_REWRITE:
            others = ", ".join(sorted({str(key[0]) for key in self._seen if key[1] == signature[1]}))
            raise PassError(
                f"{self.pass_name}: the rules {others} undo one another at {place!r}",
                "a rule's right side must not match a left side that leads back to it",
            )
        if self.rewrites > self.budget:
            raise PassError(
                f"{self.pass_name}: {self.budget} rewrites, no fixpoint, the last {rule.name} at {place!r}",
                "a rule's right side must not match its own left side for ever",
            )

    def _add_functions(self, rule: Rule, match: Match, nodes: list[ir.Node]) -> None:
        """Bring in the functions and operator sets the new nodes call."""
        for make in rule.functions:
            function = make(match.opset)
            self.model.functions.setdefault(function.identifier(), function)
        imports = self.scope.container(match.root).opset_imports
        for node in nodes:
            imports.setdefault(node.domain, 1)

    def _remember(self, rule: Rule, node: ir.Node, miss: Miss) -> None:
        """Keep the nearest miss of each rule at each node."""
        if not miss.is_near:
            return
        known = self._misses.setdefault(node, {})
        if rule.name not in known or miss.progress > known[rule.name].progress:
            known[rule.name] = miss

    def _tell_misses(self) -> None:
        for anchor, misses in self._misses.items():
            for rule_name, miss in misses.items():
                if anchor.graph is None or miss.node.graph is None:
                    continue
                where = "" if miss.node is anchor else f" (seen from {anchor.name!r})"
                self.ctx.missed(self.pass_name, miss.node, miss.reason + where, rule_name)


def _readers(nodes: Iterable[ir.Node], limit: int) -> list[ir.Node]:
    """The nodes that read a result of ``nodes``, at most ``limit`` + 1."""
    found: dict[ir.Node, None] = {}
    for node in nodes:
        for value in node.outputs:
            for use in value.uses():
                found[use.node] = None
                if len(found) > limit:
                    return list(found)
    return list(found)


def _signature(rule: Rule, match: Match) -> tuple[object, ...]:
    """A rewrite as ping-pong detection sees it: rule, place, operands."""
    operands = tuple(_operand(match.values.get(v.name)) for p in rule.patterns for v in p.variables)
    attributes = tuple(str(value)[:200] for value in match.attributes.values())
    return (rule.name, (id(match.root.graph), match.root.outputs[0].name), operands, attributes)


def _operand(value: object) -> object:
    """A value by name; a small constant by content, because rules make new ones under new names."""
    if isinstance(value, tuple):
        return tuple(_operand(item) for item in value)
    if not isinstance(value, ir.Value):
        return None
    tensor = constant_tensor(value)
    return tensor.tobytes() if tensor is not None and tensor.size <= 16 else value.name
