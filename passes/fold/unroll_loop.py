"""UnrollLoop: the rounds of a short Loop written out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir.elements import Elements
from graphopt.ir.walk import subgraphs
from graphopt.passes.fold._constants import Constants
from graphopt.passes.fold._lift import Lift
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class UnrollLoop(Pass):
    """Replace a Loop whose number of rounds is known and small by its body, once per round.

    Before: ``y = Loop(2, , x) <body: s' = Mul(s, w)>``.
    After:  ``s = Mul(x, w); y = Mul(s, w)``.
    Needs:  constants lifted to initializers; graphs in topological order.
    Keeps:  names of graph outputs; the constants of the body, shared by all rounds.
    Skips:  rounds that depend on the data: a condition the body computes; more rounds or nodes than
            ``most-rounds`` and ``most-nodes``; sequences; functions.

    A Loop of no rounds hands its initial values through.
    """

    most_rounds: int = 8
    """Rounds to write out."""

    most_nodes: int = 128
    """Nodes to write out, all rounds together."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Walk once, outer loops first; a loop inside an unrolled one is looked at in the next run."""
        if not any(_is_loop(node) for node in model.graph.all_nodes()):
            return False
        elements = Elements(model)
        unrolled = 0
        work = list(model.graph)
        while work:
            node = work.pop()
            rounds = self._rounds(node, elements, ctx) if _is_loop(node) else None
            if rounds is None:
                work.extend(inner for graph in subgraphs(node) for inner in graph)
                continue
            ctx.applied(self.name(), node, f"{rounds} rounds written out")
            _unroll(model, node, rounds)
            unrolled += 1
        return unrolled > 0

    def _rounds(self, node: ir.Node, elements: Elements, ctx: PassContext) -> int | None:
        """How often the body runs, or None when that is not known or too often."""
        body = node.attributes["body"].as_graph()
        rounds = _number(node.inputs[0], elements)
        goes_on = True if node.inputs[1] is None else _number(node.inputs[1], elements)
        if goes_on is None:
            return None
        if not goes_on or (rounds is not None and rounds <= 0):
            return 0 if _empty_scans(node, body) is not None else None
        if rounds is None or not _always_goes_on(body, elements):
            return None
        if any(not isinstance(value.type, ir.TensorType) for value in (*body.inputs[1:], *body.outputs)):
            return None
        size = sum(1 for _ in body.all_nodes())
        if rounds > self.most_rounds or rounds * size > self.most_nodes:
            ctx.missed(self.name(), node, f"{rounds} rounds of {size} nodes are too many to write out")
            return None
        return rounds


def _is_loop(node: ir.Node) -> bool:
    return node.op_type == "Loop" and node.domain in ("", "ai.onnx")


def _number(value: ir.Value | None, elements: Elements) -> int | None:
    found = elements.of(value)
    element = found.ravel()[0] if found is not None and found.size == 1 else None
    return int(element) if isinstance(element, int) else None


def _always_goes_on(body: ir.Graph, elements: Elements) -> bool:
    """Whether the body never ends the loop: its condition is true, or the one it was given."""
    condition: ir.Value | None = body.outputs[0]
    while condition is not None and (producer := condition.producer()) is not None:
        if producer.op_type != "Identity" or producer.graph is not body:
            break
        condition = producer.inputs[0]
    return condition is body.inputs[1] or _number(condition, elements) == 1


def _states(body: ir.Graph) -> int:
    return len(body.inputs) - 2


def _empty_scans(node: ir.Node, body: ir.Graph) -> dict[ir.Value, npt.NDArray[np.generic]] | None:
    """What a loop of no rounds stacks up, or None when its shape is unknown."""
    empty = {}
    for old, each in zip(node.outputs[_states(body) :], body.outputs[1 + _states(body) :], strict=True):
        if not old.uses() and not old.is_graph_output():
            continue
        if each.shape is None or not each.shape.is_static() or each.dtype is None:
            return None
        empty[old] = np.zeros((0, *each.shape.numpy()), each.dtype.numpy())
    return empty


def _unroll(model: ir.Model, node: ir.Node, rounds: int) -> None:
    body = node.attributes["body"].as_graph()
    home = node.graph
    assert isinstance(home, ir.Graph)
    constants, lift = Constants(model), Lift(model)
    empty = _empty_scans(node, body) or {}
    count = _states(body)
    states = [value for value in node.inputs[2:] if value is not None]
    stacks: list[list[ir.Value]] = [[] for _ in node.outputs[count:]]
    lift.share_constants(body, home)
    for number in range(rounds):
        results = lift.copy(
            body,
            node,
            [
                constants.get(node, np.asarray(number, np.int64)),
                constants.get(node, np.asarray(True)),
                *states,
            ],
        )
        states = results[1 : 1 + count]
        for stack, value in zip(stacks, results[1 + count :], strict=True):
            stack.append(value)
    scans = []
    for old, stack in zip(node.outputs[count:], stacks, strict=True):
        if not stack:
            scans.append(constants.get(node, empty[old]) if old in empty else states[0])
            continue
        axes = constants.get(node, np.asarray([0], np.int64))
        rows = [lift.insert(node, "Unsqueeze", [value, axes], old) for value in stack]
        scans.append(rows[0] if rounds == 1 else lift.insert(node, "Concat", rows, old, axis=0))
    lift.stand_in(node, [*states, *scans])
    for inner in body.all_nodes():
        for index in range(len(inner.inputs)):
            inner.replace_input_with(index, None)
