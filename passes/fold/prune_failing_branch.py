"""PruneFailingBranch: an If one of whose branches no run of the model survives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import onnx
import onnx.shape_inference
import onnx_ir as ir

from graphopt.ir.shapes import infer_shapes
from graphopt.ir.walk import subgraphs
from graphopt.passes.fold._lift import Lift
from graphopt.passes.fold.fold_known_elements import FoldKnownElements
from graphopt.passes.fold.inline_if import InlineIf
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite import opfacts

_TRIED = "graphopt.branches-tried"
_TRIES = 2
"""Trying takes a copy of the model: what neither the first nor a cleaner graph decides stays undecided."""

_ROUNDS = 4
"""Inferring and inlining again: one rank decides the next If, and that the next rank."""


@dataclass(frozen=True)
class PruneFailingBranch(Pass):
    """Replace an If by its one branch after which the rest of the graph can run.

    Before: ``t = If(Equal(Shape(x)[2], 1)) <Squeeze(x, [2])> <Identity(x)>; y = LSTM(Unsqueeze(t, [0]), …)``.
    After:  ``t = Squeeze(x, [2])``: LSTM takes three dims, the other branch would give it four.
    Needs:  inferred shapes; graphs in topological order.
    Keeps:  every result. A run that would have failed still fails, maybe at another node.
    Skips:  branches of equal or unknown ranks; operators whose ranks ONNX does not know; functions.

    Exporters write such an If for ``squeeze(dim)`` of a dynamic dim, and everything behind it then lacks a
    rank. Each branch is tried in a copy: what follows from its rank is decided in turn, and an
    operator that runs in any case and cannot take what it gets speaks against the branch.
    """

    most: int = 4
    """Ifs to try in one run: each takes two copies of the graph."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Try the Ifs whose branches differ in rank, outer ones first."""
        pruned = 0
        for node in list(islice(_candidates(model), self.most)):
            node.meta[_TRIED] = node.meta.get(_TRIED, 0) + 1
            then, otherwise = (_failure(model, node, taken) for taken in (True, False))
            if (then is None) == (otherwise is None):
                continue
            taken = then is None
            body = _branch(node, taken)
            ctx.applied(self.name(), node, f"the other branch fails: {otherwise if taken else then}")
            Lift(model).replace(node, body, list(body.outputs))
            pruned += 1
            break  # positions and shapes have changed: the next If is tried in the next run
        return pruned > 0


def _candidates(model: ir.Model) -> Iterator[ir.Node]:
    for node in model.graph.all_nodes():
        if node.op_type != "If" or node.domain not in ("", "ai.onnx") or node.meta.get(_TRIED, 0) >= _TRIES:
            continue
        ranks = [[_rank(value) for value in _branch(node, taken).outputs] for taken in (True, False)]
        if any(a is not None and b is not None and a != b for a, b in zip(*ranks, strict=True)):
            yield node


def _rank(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)


def _branch(node: ir.Node, taken: bool) -> ir.Graph:
    return node.attributes["then_branch" if taken else "else_branch"].as_graph()


def _failure(model: ir.Model, node: ir.Node, taken: bool) -> str | None:
    """What fails once ``node`` takes a branch, or None when nothing certainly does."""
    copy = model.clone()
    twin = next(t for n, t in zip(model.graph.all_nodes(), copy.graph.all_nodes(), strict=True) if n is node)
    graph = twin.graph
    assert isinstance(graph, ir.Graph)
    body = _branch(twin, taken)
    results = list(body.outputs)
    Lift(copy).replace(twin, body, results)
    scratch = PassContext()
    for _ in range(_ROUNDS):
        infer_shapes(copy)
        if not InlineIf().run(copy, scratch) | FoldKnownElements().run(copy, scratch):
            break
    opset = copy.graph.opset_imports.get("", 1)
    for behind in _depending(graph, results):
        reason = _refusal(behind, opset)
        if reason is not None:
            return f"{behind.name}: {reason}"
    return None


def _depending(graph: ir.Graph, values: list[ir.Value]) -> Iterator[ir.Node]:
    """The nodes of ``graph`` itself that are computed from ``values``: they run whenever it does."""
    reached = set(values)
    for node in graph:
        if any(value in reached for value in node.inputs):
            reached.update(node.outputs)
            if not any(subgraphs(node)):
                yield node


def _refusal(node: ir.Node, opset: int) -> str | None:
    """Why ONNX says that ``node`` cannot take its operands, or None."""
    schema = opfacts.schema(node.domain, node.op_type, opset)
    given = [value for value in node.inputs if value is not None]
    if schema is None or any(value.type is None or not value.name for value in given):
        return None
    try:
        onnx.shape_inference.infer_node_outputs(
            schema,
            ir.serde.serialize_node(node),
            {str(value.name): ir.serde.serialize_value(value).type for value in given},
            opset_imports=[onnx.helper.make_opsetid(node.domain, opset)],
        )
    except onnx.shape_inference.InferenceError as error:
        return str(error).strip().splitlines()[0]
    except (onnx.checker.ValidationError, RuntimeError):
        return None
    return None
