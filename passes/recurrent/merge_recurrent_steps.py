"""MergeRecurrentSteps: runs of one recurrent layer, one after the other, are one longer run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir.walk import graphs
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.attributes import plain
from graphopt.rewrite.constants import constant_array, constant_tensor
from graphopt.rewrite.match import Binding, Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.scope import Scope

_STATES = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}
"""The states of an operator: inputs from the sixth on, outputs from the second on."""

_MIN_OPSET = 14
"""The version from which the operators have the layout looked for here."""


@dataclass(frozen=True)
class MergeRecurrentSteps(Pass):
    """Run a recurrent layer once over all steps instead of once for each.

    Before: ``y0, h0 = GRU(x0, w, r, b, initial_h=h); y1, h1 = GRU(x1, w, r, b, initial_h=h0)``.
    After:  ``y, h1 = GRU(Concat(x0, x1), w, r, b, initial_h=h); y0, y1 = Split(y)``; h0 is the last of y0.
    Needs:  constant weights and attributes that are the same, numbers of steps that are known.
    Keeps:  every state for whoever reads it.
    Skips:  an inner cell state of an LSTM that is read elsewhere, which the operator does not show; steps
            whose input is computed from the step before; sequence lengths, peepholes, other directions.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Merge every chain, from its first run on."""
        rewriter = Rewriter(model, self.name(), ctx)
        for chain in [chain for graph in graphs(model) for chain in _chains(graph)]:
            if rewriter.opset(chain[0]) < _MIN_OPSET:
                continue
            scope = Scope(model)
            scope.read()
            if scope.between(chain)[1]:
                ctx.missed(self.name(), chain[-1], "its input is computed from the step before")
                continue
            match, outputs, replacement = _merged(chain, rewriter.opset(chain[0]))
            rewriter.replace(match, outputs, replacement, "steps")
        return rewriter.count > 0


def _chains(graph: ir.Graph | ir.Function) -> list[list[ir.Node]]:
    """Runs that continue one another, at least two."""
    follower = {first: node for node in graph if (first := _continued(node)) is not None}
    later = set(follower.values())
    starts = [node for node in follower if node not in later]
    chains = []
    for start in starts:
        chain = [start]
        while chain[-1] in follower:
            chain.append(follower[chain[-1]])
        chains.append(chain)
    return chains


def _is_run(node: ir.Node) -> bool:
    """Whether ``node`` is a forward run of a known number of steps; the last may not show its states."""
    states = _STATES.get(node.op_type, ())
    if not states or node.domain != "" or any(node.inputs[4:5]) or len(node.inputs) > 5 + len(states):
        return False
    if node.attributes.get_string("direction", "forward") != "forward":
        return False
    return node.attributes.get_int("layout", 0) == 0 and _steps(node) is not None


def _steps(node: ir.Node) -> int | None:
    """How many steps a run is long."""
    x = node.inputs[0]
    length = None if x is None or x.shape is None or len(x.shape) != 3 else x.shape[0]
    return length if isinstance(length, int) and length > 0 else None


def _continued(node: ir.Node) -> ir.Node | None:
    """The run whose last states are the first of ``node``."""
    if not _is_run(node):
        return None
    given = node.inputs[5:]
    if len(given) != len(_STATES[node.op_type]):
        return None
    first = given[0].producer() if given[0] is not None else None
    if first is None or first.graph is not node.graph or first.op_type != node.op_type or not _is_run(first):
        return None
    if list(first.outputs[1 : 1 + len(given)]) != list(given):
        return None
    if any(not _same(_input(first, index), _input(node, index)) for index in (1, 2, 3)):
        return None
    if _plain(first) != _plain(node):
        return None
    readers = [list(value.uses()) for value in given if value is not None]
    # Only the hidden state of a step in the middle is among the results, and only one run can follow.
    hidden = any(
        value is not None and (value.is_graph_output() or len(value.uses()) > 1) for value in given[1:]
    )
    several = sum(use.node.op_type == node.op_type and use.idx == 5 for use in readers[0]) > 1
    return None if hidden or several else first


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _same(a: ir.Value | None, b: ir.Value | None) -> bool:
    if a is None or b is None or a is b:
        return a is b and (a is None or constant_tensor(a) is not None)
    first, second = constant_array(a), constant_array(b)
    return first is not None and second is not None and np.array_equal(first, second)


def _plain(node: ir.Node) -> dict[str, object]:
    return {name: plain(attribute) for name, attribute in node.attributes.items()}


def _merged(chain: Sequence[ir.Node], opset: int) -> tuple[Match, tuple[str, ...], Replacement]:
    """The place, the names of its results, and the one run that computes them."""
    first, last = chain[0], chain[-1]
    states = _STATES[first.op_type]
    values: dict[str, Binding] = {}
    values |= {name: _input(first, index) for index, name in enumerate(("w", "r", "b"), start=1)}
    values |= {name: _input(first, index) for index, name in enumerate(states, start=5)}
    values |= {f"x{t}": node.inputs[0] for t, node in enumerate(chain)}
    constants: dict[str, Constant] = {
        "sizes": np.asarray([_steps(node) for node in chain], np.int64),
        "zero": np.zeros(1, np.int64),
    }
    results = {f"y{t}": node.outputs[0] for t, node in enumerate(chain)}
    results |= {f"{name}_end": out for name, out in zip(states, last.outputs[1:], strict=False)}
    given = {name: name if values[name] is not None else '""' for name in ("b", *states)}
    lines = [
        f"xs = Concat <axis = 0> ({', '.join(f'x{t}' for t in range(len(chain)))})",
        f"ys, {', '.join(f'{name}_end' for name in states)} = {first.op_type} <**attrs> "
        f'(xs, w, r, {given["b"]}, "", {", ".join(given[name] for name in states)})',
        f"{', '.join(f'y{t}' for t in range(len(chain)))} = Split <axis = 0> (ys, sizes)",
    ]
    for t, node in enumerate(chain[:-1]):
        if not node.outputs[1].is_graph_output() and all(use.node in chain for use in node.outputs[1].uses()):
            continue
        results[f"h{t}"] = node.outputs[1]
        length = _steps(node) or 1
        constants[f"from{t}"] = np.asarray([length - 1], np.int64)
        constants[f"to{t}"] = np.asarray([length], np.int64)
        lines.append(f"last{t} = Slice (y{t}, from{t}, to{t}, zero); h{t} = Squeeze (last{t}, zero)")
    # A result nobody asked for has no name in the graph, and gets none here.
    wanted = {name: value for name, value in results.items() if value.uses() or value.is_graph_output()}
    match = Match(
        last, tuple(chain), {**values, **wanted}, {"attrs": tuple(first.attributes.values())}, opset
    )
    return match, tuple(wanted), Replacement("\n".join(lines), constants=constants)
