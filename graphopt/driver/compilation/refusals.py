"""What backends refused after having claimed it; it ends, because every refusal takes nodes away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.backends.base import RegionRefused
    from graphopt.driver.compilation.provenance import Origins
    from graphopt.placement.place import Region

_PATIENCE = 8
"""After so many refusals of single nodes, a refused node takes those of its operator along."""

_MOST_ROUNDS = 24
"""After so many refusals a region is given up as a whole."""


class Refusals:
    """Nodes of one placed model that a backend claimed and cannot build.

    Attributes:
        reasons: node → backend → why, in the backend's own words.
    """

    def __init__(self) -> None:
        self.reasons: dict[ir.Node, dict[str, str]] = {}
        self._rounds = 0

    def add(self, region: Region, error: RegionRefused, origins: Origins) -> None:
        """Take the nodes a backend names away from it, or the whole region when it names none.

        Args:
            region: that was refused; afterwards it has fewer nodes, or another backend.
            error: what the backend said.
            origins: of the nodes it names.
        """
        self._rounds += 1
        found: dict[ir.Node, str] = {}
        for name, reason in error.reasons.items():
            for node in origins.of(name):
                found.setdefault(node, reason)
        new = {node: why for node, why in found.items() if region.backend not in self.reasons.get(node, {})}
        if not new or self._rounds > _MOST_ROUNDS:
            self.give(region.nodes, region.backend, _first_reason(error))
            return
        if self._rounds > _PATIENCE:
            operators = {node.op_identifier(): why for node, why in new.items()}
            new = {n: operators[n.op_identifier()] for n in region.nodes if n.op_identifier() in operators}
        for node, why in new.items():
            self.give([node], region.backend, why)

    def give(self, nodes: Iterable[ir.Node], backend: str, reason: str) -> None:
        """Take nodes away from a backend, for a reason."""
        for node in nodes:
            self.reasons.setdefault(node, {}).setdefault(backend, reason)


def _first_reason(error: RegionRefused) -> str:
    reasons: Mapping[str, str] = error.reasons
    return next(iter(reasons.values()), error.message)
