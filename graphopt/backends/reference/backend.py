"""The reference backend: numpy implementations by the ONNX project. Runs anything it knows, slowly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphopt.backends.base import Available, Blob, BuildOptions, Claim, Unavailable
from graphopt.backends.flatten import flatten
from graphopt.backends.reference.session import FIX
from graphopt.backends.serialize import serialize

if TYPE_CHECKING:
    from graphopt.pipeline.pass_base import Pass
    from graphopt.targets.target import Target

_LOADERS = {
    "": "onnx.reference.ops",
    "ai.onnx": "onnx.reference.ops",
    "ai.onnx.ml": "onnx.reference.ops.aionnxml",
}


@dataclass(frozen=True)
class ReferenceBackend:
    """Claims every standard operator that has a reference implementation."""

    name: str = "reference"
    target_kinds: tuple[str, ...] = ("cpu",)
    least_share: float = 0.0

    def availability(self) -> Available | Unavailable:
        """Whether onnx is installed, which graphopt depends on anyway; it is not imported to find out."""
        try:
            return Available(version("onnx"))
        except PackageNotFoundError:
            return Unavailable("onnx is not installed", FIX)

    def claims(self, node: ir.Node, target: Target) -> Claim:
        """Nodes whose operators onnx.reference implements."""
        if target.kind != "cpu":
            return Claim(False, f"it is for CPU targets, not {target.kind}")
        if not _has_reference(node):
            return Claim(False, f"onnx.reference has no {node.domain or 'ai.onnx'}::{node.op_type}")
        return Claim(True)

    @property
    def legalize_passes(self) -> tuple[type[Pass], ...]:
        """None."""
        return ()

    def legalize(self, target: Target) -> Sequence[Pass]:  # noqa: ARG002 (part of the protocol)
        """Nothing: the specification is defined on every spelling."""
        return ()

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:  # noqa: ARG002
        """ONNX bytes with everything inside."""
        return Blob(self.name, serialize(flatten(region)))


BACKEND = ReferenceBackend()


def _has_reference(node: ir.Node) -> bool:
    if node.domain not in _LOADERS:
        return False
    try:
        import_module(_LOADERS[node.domain]).load_op(
            "" if node.domain == "ai.onnx" else node.domain, node.op_type
        )
    except Exception:
        # It answers an unknown operator with whatever its look-up happens to raise.
        return False
    return True
