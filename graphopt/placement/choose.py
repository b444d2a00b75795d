"""Ask the backends who takes a node; inline the calls of local functions that nobody takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphopt.backends.base import Claim
from graphopt.errors import BackendError
from graphopt.ir.walk import inner_nodes
from graphopt.rewrite.inline import can_inline, inline_functions

if TYPE_CHECKING:
    from graphopt.backends.base import Backend
    from graphopt.targets.target import Target


class WouldFallBack(BackendError):
    """Under ``--strict``: a node is not taken by the backend that is preferred for the target."""


@dataclass(frozen=True)
class Choice:
    """The backend of one node, and why more preferred ones are not it."""

    backend: str
    refusals: tuple[str, ...]


class Chooser:
    """Asks the backends about nodes of one model.

    Args:
        model: whose functions calls refer to; it must not recurse.
        backends: most preferred first.
        target: the machine to run on.
    """

    def __init__(self, model: ir.Model, backends: Sequence[Backend], target: Target) -> None:
        self._model = model
        self._backends = backends
        self._target = target
        self._bodies: dict[tuple[str, ir.OperatorIdentifier], Claim] = {}
        self._answers: dict[tuple[str, ir.Node], Claim] = {}

    def claimed(self, node: ir.Node) -> bool:
        """Whether any backend takes the node with everything inside it, calls by their bodies."""
        return any(self._claim(backend, node).accepted for backend in self._backends)

    def claimed_by(self, node: ir.Node, backends: Collection[str]) -> bool:
        """Whether one of the backends named takes the node with everything inside it."""
        return any(b.name in backends and self._answer(b, node).accepted for b in self._backends)

    def choose(self, node: ir.Node, strict: bool, refused: Mapping[str, str] | None = None) -> Choice:
        """The backend of one node.

        Args:
            node: of the main graph.
            strict: the most preferred backend must take it.
            refused: backend → why it cannot take the node although it claims it.

        Raises:
            WouldFallBack: with ``strict``, when it does not.
            BackendError: no backend takes the node.
        """
        refusals: list[str] = []
        for backend in self._backends:
            reason = (refused or {}).get(backend.name, "")
            claim = Claim(False, reason) if reason else self._answer(backend, node)
            if claim.accepted:
                return Choice(backend.name, tuple(refusals))
            refusals.append(f"{backend.name}: {claim.reason}")
            if strict:
                message = f"{_called(node)} would fall back: {refusals[0]}"
                raise WouldFallBack(message, "compile without --strict to let it")
        reasons = "; ".join(refusals)
        raise BackendError(
            f"no backend takes {_called(node)}: {reasons}",
            "allow more of them with --backends; graphopt doctor lists what there is",
        )

    def _claim(self, backend: Backend, node: ir.Node) -> Claim:
        """A backend's answer about a node and everything inside it."""
        for part in (node, *inner_nodes(node)):
            claim = self._claim_one(backend, part)
            if not claim.accepted:
                return claim
        return Claim(True)

    def _answer(self, backend: Backend, node: ir.Node) -> Claim:
        """The same, remembered: for nodes that no longer change."""
        key = (backend.name, node)
        if key not in self._answers:
            self._answers[key] = self._claim(backend, node)
        return self._answers[key]

    def _claim_one(self, backend: Backend, node: ir.Node) -> Claim:
        own = backend.claims(node, self._target)
        function = self._model.functions.get(node.op_identifier())
        if own.accepted or function is None or not can_inline(function, self._model):
            return own
        key = (backend.name, function.identifier())
        if key not in self._bodies:
            answers = (self._claim_one(backend, inner) for inner in function.all_nodes())
            self._bodies[key] = next((answer for answer in answers if not answer.accepted), Claim(True))
        return self._bodies[key]


def _called(node: ir.Node) -> str:
    """The node as a person finds it: by its name, or by what it computes."""
    if node.name:
        return f"node '{node.name}' ({node.op_type})"
    return f"the {node.op_type} node of value '{next((v.name for v in node.outputs if v.name), '')}'"


def without_unclaimed_functions(model: ir.Model, chooser: Chooser) -> ir.Model:
    """The model with every call inlined that no backend takes; claims are asked again of the bodies.

    A call that some backend takes by its body stays a call: that backend's legalisation may know a
    spelling for it, and inlines it otherwise.
    """
    if not model.functions:
        return model
    placed = model.clone()
    outer = {inner: node for node in placed.graph for inner in inner_nodes(node)}
    taken: dict[ir.Node, bool] = {}

    def wanted(call: ir.Node) -> bool:
        # A call inside a subgraph stays only if the node that holds the subgraph is taken with it.
        holder = call if call.graph is placed.graph else outer.get(call)
        if holder is None:
            return True
        if holder not in taken:
            taken[holder] = chooser.claimed(holder)
        return not taken[holder]

    inline_functions(placed, wanted)
    for node in placed.graph.all_nodes():
        function = placed.functions.get(node.op_identifier())
        if function is not None and not can_inline(function, placed) and not chooser.claimed(node):
            versions = ", ".join(f"{d or 'ai.onnx'} {v}" for d, v in sorted(function.opset_imports.items()))
            message = f"node '{node.name}' calls function {function.name}, written for other opsets"
            raise BackendError(f"{message} ({versions}) than the model's")
    return placed
