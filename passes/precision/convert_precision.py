"""ConvertPrecision: computes in float16 or bfloat16 what may be computed there."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir.walk import all_nodes
from graphopt.passes.precision._borders import Borders
from graphopt.passes.precision._casts import Casts
from graphopt.passes.precision._operators import Places, places
from graphopt.passes.precision._weights import PRECISIONS, damage, is_endless
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.opfacts import opset_of

_BOUNDS = {"Clip": (1, 2), "Pad": (2,)}
"""Inputs at which exporters write the largest float32 for "no bound" or "less than any"."""

_SAFE = "/:;.!?*&^$#@|~<>[]\\'\"-_"


@dataclass(frozen=True)
class ConvertPrecision(Pass):
    """Compute in a lower precision, with casts where it begins and ends.

    Precision is then written in the graph, as strongly typed runtimes want it. Weights are stored
    converted, once each; a value that both sides read is cast once; nodes that only move values go with
    their neighbours, and a few cheap nodes between two casts stay as they are.

    Which nodes ``keep`` float32 is decided by running the model (``--precision fp16`` does): the graph
    alone tells only what has no form in the lower precision and which constants would not survive in it.

    Before: ``y = MatMul(x, w)`` in float32.
    After:  ``y = Cast<to=float>(MatMul(Cast<to=float16>(x), w'))`` with w' the rounded w.
    Needs:  element types of all values.
    Keeps:  inputs and outputs of the model with their types, scales of quantisation, what only counts
            (shapes, indices), values of other types than float32, subgraphs' interfaces.
    Skips:  operators without a form in the lower precision, those whose constants overflow or vanish in
            it, those that square and sum, functions other than graphopt's own.

    Attributes:
        to: ``float16`` or ``bfloat16``.
        keep: names of nodes to leave in float32, percent-encoded where they hold one of `` {}(),=+%``.
        eager: convert everything that may be, also where that is not worth the casts.
    """

    to: str = "float16"
    keep: tuple[str, ...] = ()
    eager: bool = False

    @staticmethod
    def spelled(name: str) -> str:
        """A node's name as ``keep`` spells it."""
        return quote(name, safe=_SAFE)

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Decide, then rewrite; linear in nodes and bytes of weights.

        Raises:
            UsageError: ``to`` is no precision.
        """
        borders = self._decide(model, ctx)
        if not any(borders.candidates[node].outputs for node in borders.low):
            return False
        Casts(model, borders).write()
        for node in borders.low:
            ctx.applied(self.name(), node, f"it computes in {self.to}")
        return True

    def chosen(self, model: ir.Model, ctx: PassContext | None = None) -> list[str]:
        """The names of the nodes that ``run`` would convert, in order; ``model`` is not changed."""
        borders = self._decide(model, ctx or PassContext())
        return [node.name or "" for node in all_nodes(model.graph) if node in borders.low]

    def _decide(self, model: ir.Model, ctx: PassContext) -> Borders:
        to = PRECISIONS.get(self.to)
        if to is None:
            raise UsageError(f"there is no precision {self.to!r} to convert to", "float16 or bfloat16")
        kept = frozenset(map(unquote, self.keep))
        nodes = list(all_nodes(model.graph))
        opset = opset_of(model.graph, model)
        candidates: dict[ir.Node, Places] = {}
        hurt: dict[ir.Value, str] = {}
        for node in nodes:
            found = None if node.name in kept else places(node, opset, to)
            if found is None:
                continue
            if why := _constant_damage(node, found, to, hurt):
                ctx.missed(self.name(), node, why)
                continue
            candidates[node] = found
        borders = Borders(nodes, candidates, to)
        if not self.eager:
            borders.settle()
            for node, why in borders.given_up():
                ctx.missed(self.name(), node, why)
        return borders


def _constant_damage(node: ir.Node, found: Places, to: ir.DataType, seen: dict[ir.Value, str]) -> str:
    """What rounding would do to a constant that ``node`` reads, or an empty string."""
    for index in found.inputs:
        value = node.inputs[index]
        tensor = constant_tensor(value)
        if (
            value is None
            or tensor is None
            or (index in _BOUNDS.get(node.op_type, ()) and is_endless(tensor, to))
        ):
            continue
        if value not in seen:
            seen[value] = damage(tensor, to)
        if seen[value]:
            return f"its constant '{value.name}' does not fit {to.name.lower()}: {seen[value]}"
    return ""
