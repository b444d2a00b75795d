"""Matching one pattern at one node.

Two steps keep this from blowing up on commutative operators. ``_fits`` asks, with a memo over
(pattern node, graph node), whether a part of the pattern holds when repeated names are ignored: that
is polynomial. ``_solve`` then searches bindings, but only along choices that fit; what is left to
search are the names that occur twice, under a budget of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import onnx_ir as ir

from graphopt.rewrite import constants, opfacts
from graphopt.rewrite.attributes import attribute_mismatch, bind_attributes
from graphopt.rewrite.match import Binding, Match, Miss
from graphopt.rewrite.pattern import Pattern
from graphopt.rewrite.syntax import Argument, Call, Literal, Name

MAX_STEPS = 2_000
"""Steps of one search; patterns of fifty nodes need a few hundred."""

Accept = Callable[[Match], "tuple[ir.Node, str] | None"]


class _Fit(NamedTuple):
    """Whether a part holds, how many of its parts do, and the failure furthest along."""

    ok: bool
    score: int
    node: ir.Node | None = None
    reason: str = ""


@dataclass(frozen=True)
class _State:
    values: dict[str, Binding] = field(default_factory=dict)
    nodes: dict[int, ir.Node] = field(default_factory=dict)
    attributes: dict[str, object] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(dict(self.values), dict(self.nodes), dict(self.attributes))


_Goals = tuple[tuple[Argument, ir.Value | None, ir.Node], "_Goals"] | None


class Matcher:
    """One attempt to match ``pattern`` with its root at ``node``.

    Args:
        pattern: the spelling.
        node: where its root would be.
        opset: version of the standard operators at ``node``.
        accept: judges a complete binding: None to take it, or the node and the reason against it;
            another binding (the operands the other way round) is then tried.
    """

    def __init__(self, pattern: Pattern, node: ir.Node, opset: int, accept: Accept) -> None:
        self.pattern = pattern
        self.node = node
        self.opset = opset
        self.accept = accept
        self._memo: dict[tuple[int, ir.Node], _Fit] = {}
        self._steps = 0
        self._miss = Miss(node, "", 0, pattern.parts)
        self._is_judged = False

    def run(self) -> Match | Miss:
        """The first binding ``accept`` takes, or why there is none."""
        root = self.pattern.root
        fit = self._fits(root, self.node)
        if not fit.ok:
            # A step that two others read is counted twice: only a verdict on a whole match is complete.
            score = min(fit.score, self.pattern.parts - 1)
            return Miss(fit.node or self.node, fit.reason, score, self.pattern.parts)
        found = self._node(root, self.node, None, _State())
        return found if found is not None else self._miss

    def _fail(self, node: ir.Node, reason: str, score: int) -> None:
        """Keep the failure furthest along; later ones of the same depth do not replace it."""
        if self._is_judged:
            return
        if score > self._miss.score or not self._miss.reason:
            self._miss = Miss(node, reason, score, self.pattern.parts)

    # -- structure, names ignored ---------------------------------------------------------------

    def _fits(self, index: int, node: ir.Node) -> _Fit:
        key = (index, node)
        if key not in self._memo:
            self._memo[key] = self._fits_node(self.pattern.calls[index], node)
        return self._memo[key]

    def _fits_node(self, call: Call, node: ir.Node) -> _Fit:
        if (node.domain, node.op_type) != call.key:
            return _Fit(False, 0, node, f"expected {call.op_type}, found {node.op_type}")
        reason = self._local_mismatch(call, node)
        if reason is not None:
            return _Fit(False, 0, node, reason)
        best: _Fit | None = None
        for inputs in operand_orders(call, node):
            fit = self._fits_inputs(call, inputs, node)
            if fit.ok:
                return fit
            if best is None or fit.score > best.score:
                best = fit
        return best if best is not None else _Fit(True, 1)

    def _fits_inputs(self, call: Call, inputs: tuple[ir.Value | None, ...], node: ir.Node) -> _Fit:
        score, failure = 1, None
        for arg, value in zip(call.inputs, inputs, strict=False):
            if isinstance(arg, Name) and arg.variadic:
                break
            fit = self._fits_value(call, arg, value, node)
            score += fit.score
            if not fit.ok and failure is None:
                failure = fit
        if failure is None:
            return _Fit(True, score)
        return _Fit(False, score, failure.node, failure.reason)

    def _fits_value(self, call: Call, arg: Argument, value: ir.Value | None, user: ir.Node) -> _Fit:
        if arg is None:
            return _Fit(True, 0) if value is None else _Fit(False, 0, user, f"input {value.name!r} is extra")
        if isinstance(arg, Literal):
            rank = _others_rank(user, value) if opfacts.is_broadcasting(*call.key) else None
            reason = constants.mismatch(arg, value, rank)
            return _Fit(True, 1) if reason is None else _Fit(False, 0, user, reason)
        if arg.name in self.pattern.producer:
            return self._fits_producer(arg.name, value, user)
        if value is None and not arg.optional:
            return _Fit(False, 0, user, f"the input {arg.name!r} is missing")
        return _Fit(True, 0)

    def _fits_producer(self, name: str, value: ir.Value | None, user: ir.Node) -> _Fit:
        index, output = self.pattern.producer[name]
        wanted = self.pattern.calls[index].op_type
        producer = None if value is None else value.producer()
        if value is None or producer is None:
            what = "nothing" if value is None else repr(value.name)
            return _Fit(
                False, 0, user, f"expected {wanted} as an input, found {what}, which no node computes"
            )
        if producer.graph is not self.node.graph:
            return _Fit(False, 0, user, f"{value.name!r} comes from an outer graph")
        if value.index() != output:
            return _Fit(False, 0, producer, f"expected output {output} of {wanted}")
        return self._fits(index, producer)

    def _local_mismatch(self, call: Call, node: ir.Node) -> str | None:
        """What about the node itself, its inputs aside, contradicts the pattern."""
        given = _arity(node)
        required = sum(not (isinstance(arg, Name) and (arg.optional or arg.variadic)) for arg in call.inputs)
        if given < required or (given > len(call.inputs) and not call.is_open):
            return f"{node.op_type} has {given} inputs, not {required}"
        open_outputs = bool(call.outputs and call.outputs[-1] is not None and call.outputs[-1].variadic)
        named = len(call.outputs) - open_outputs
        exact = opfacts.has_open_outputs(node.domain, node.op_type, self.opset) and not open_outputs
        if len(node.outputs) < named or (exact and len(node.outputs) != named):
            return f"{node.op_type} has {len(node.outputs)} outputs, not {named}"
        for index, value in enumerate(node.outputs):
            wanted = call.outputs[index] if index < len(call.outputs) else None
            if wanted is None and not (open_outputs and index >= named) and _is_used(value):
                return f"output {index} of {node.op_type} is used"
        return attribute_mismatch(call, node, self.opset)

    # -- bindings --------------------------------------------------------------------------------

    def _solve(self, goals: _Goals, state: _State) -> Match | None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            self._fail(self.node, f"gave up after {MAX_STEPS} steps of search", self.pattern.parts)
            return None
        if goals is None:
            return self._forward(state)
        (arg, value, user), rest = goals
        if not isinstance(arg, Name):
            return self._solve(rest, state)
        if arg.name in state.values:
            if state.values[arg.name] is value:
                return self._solve(rest, state)
            self._fail(user, f"{arg.name!r} is a different value here", len(state.nodes))
            return None
        if arg.name not in self.pattern.producer:
            state = state.copy()
            state.values[arg.name] = value
            return self._solve(rest, state)
        producer = None if value is None else value.producer()
        if producer is None:
            return None
        return self._node(self.pattern.producer[arg.name][0], producer, rest, state)

    def _node(self, index: int, node: ir.Node, rest: _Goals, state: _State) -> Match | None:
        """Bind pattern node ``index`` to ``node``, then go on with its inputs and ``rest``."""
        if index in state.nodes:
            return None
        call = self.pattern.calls[index]
        state = state.copy()
        reason = bind_attributes(call, node, self.opset, state.attributes)
        if reason is not None:
            self._fail(node, reason, len(state.nodes))
            return None
        state.nodes[index] = node
        for name, binding in _bind_outputs(call, node):
            state.values[name] = binding
        for inputs in operand_orders(call, node):
            if not self._fits_inputs(call, inputs, node).ok:
                continue
            found = self._inputs(call, inputs, node, rest, state)
            if found is not None:
                return found
        return None

    def _inputs(
        self, call: Call, inputs: tuple[ir.Value | None, ...], node: ir.Node, rest: _Goals, state: _State
    ) -> Match | None:
        goals = rest
        for position in reversed(range(len(call.inputs))):
            arg = call.inputs[position]
            if isinstance(arg, Name) and arg.variadic:
                given = tuple(value for value in inputs[position:] if value is not None)
                if arg.name in state.values and state.values[arg.name] != given:
                    self._fail(node, f"{arg.name!r} stands for other values here", len(state.nodes))
                    return None
                state = state.copy()
                state.values[arg.name] = given
                continue
            goals = ((arg, inputs[position], node), goals)
        return self._solve(goals, state)

    def _forward(self, state: _State) -> Match | None:
        """Find a node the root does not reach through the uses of a value already bound."""
        for index, call in enumerate(self.pattern.calls):
            if index in state.nodes:
                continue
            anchor = next((a for a in call.inputs if isinstance(a, Name) and a.name in state.values), None)
            if anchor is None:
                continue
            bound = state.values[anchor.name]
            users = bound.consumers() if isinstance(bound, ir.Value) else ()
            taken = set(state.nodes.values())
            for user in users:
                if user in taken or user.graph is not self.node.graph or not self._fits(index, user).ok:
                    continue
                found = self._node(index, user, None, state)
                if found is not None:
                    return found
            self._fail(self.node, f"no fitting {call.op_type} reads {anchor.name!r}", len(state.nodes))
            return None
        return self._complete(state)

    def _complete(self, state: _State) -> Match | None:
        nodes = tuple(dict.fromkeys(state.nodes[index] for index in range(len(self.pattern.calls))))
        match = Match(self.node, nodes, state.values, state.attributes, self.opset)
        verdict = self.accept(match)
        if verdict is None:
            return match
        # Nothing gets further than a whole match: the first verdict on one that gives a reason stays.
        if not self._is_judged or not self._miss.reason:
            self._is_judged = True
            self._miss = Miss(*verdict, self.pattern.parts, self.pattern.parts)
        return None


def operand_orders(call: Call, node: ir.Node) -> Iterator[tuple[ir.Value | None, ...]]:
    """The inputs as given, padded to the pattern's, and exchanged where that means the same."""
    inputs = (*node.inputs, *(None,) * (len(call.inputs) - len(node.inputs)))
    yield inputs
    if len(call.inputs) == 2 and _arity(node) == 2 and opfacts.is_commutative(*call.key) and not call.is_open:
        yield inputs[1], inputs[0]


def _arity(node: ir.Node) -> int:
    """Inputs without trailing omitted ones."""
    count = len(node.inputs)
    while count and node.inputs[count - 1] is None:
        count -= 1
    return count


def _is_used(value: ir.Value) -> bool:
    return value.is_graph_output() or bool(value.uses())


def _others_rank(node: ir.Node, value: ir.Value | None) -> int | None:
    """The highest known rank among the other inputs; 0 when none is known."""
    ranks = [len(v.shape) for v in node.inputs if v is not None and v is not value and v.shape is not None]
    return max(ranks, default=0)


def _bind_outputs(call: Call, node: ir.Node) -> Iterator[tuple[str, Binding]]:
    for index, name in enumerate(call.outputs):
        if name is not None:
            yield name.name, tuple(node.outputs[index:]) if name.variadic else node.outputs[index]
