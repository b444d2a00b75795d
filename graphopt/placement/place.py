"""Decide which backend runs which node, and gather the nodes into regions.

A region is a set of nodes of the main graph (a node with subgraphs goes with everything inside it) that
one backend runs in one piece. Every node is in exactly one region and the quotient graph, one vertex
per region, has no cycle: the regions run one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphopt.errors import BackendError
from graphopt.ir.analyses.flops import model_flops
from graphopt.placement.borders import Borders
from graphopt.placement.choose import Choice, Chooser, without_unclaimed_functions
from graphopt.placement.regions import merge_regions

if TYPE_CHECKING:
    from graphopt.backends.base import Backend
    from graphopt.targets.target import Target


Refused = Mapping[ir.Node, Mapping[str, str]]
"""Node of the placed model → backend → why it cannot take the node although it claims it."""


@dataclass(frozen=True)
class Region:
    """Nodes that one backend runs in one piece.

    Attributes:
        index: position in running order.
        backend: name of the backend.
        nodes: of the main graph, in running order.
        inputs: names of the values it takes from the model's inputs and from earlier regions; what its
            subgraphs capture is among them, initializers are not.
        outputs: names of the values that later regions or the model's outputs take from it.
    """

    index: int
    backend: str
    nodes: tuple[ir.Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class PlacementRow:
    """What one backend got.

    Attributes:
        backend: its name.
        regions: how many pieces it runs.
        nodes: of the main graph.
        flops: of those nodes for one inference; None when no shape is known.
        reason: why its nodes are not with a backend that was preferred to it, empty for the first.
        fell_back: reason → names of the nodes it is about.
    """

    backend: str
    regions: int
    nodes: int
    flops: int | None
    reason: str = ""
    fell_back: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON types."""
        return asdict(self) | {"fell_back": {reason: list(names) for reason, names in self.fell_back.items()}}


@dataclass(frozen=True)
class Placement:
    """A model cut into regions.

    Attributes:
        model: the placed model: the one given, or a clone with the functions inlined that nobody claimed.
        regions: in running order.
        rows: one per backend that got nodes, most preferred first.
    """

    model: ir.Model
    regions: tuple[Region, ...]
    rows: tuple[PlacementRow, ...]


class Placer:
    """Places one model, again and again as backends turn out to refuse nodes they claimed.

    Attributes:
        model: the placed model: the one given, or a clone with the functions inlined that nobody claims.
            Its nodes are the same in every placement.
    """

    def __init__(
        self, model: ir.Model, backends: Sequence[Backend], target: Target, *, strict: bool = False
    ) -> None:
        """Ask who claims what; arguments and errors as for ``place``."""
        if not backends:
            raise BackendError("no backend is available to place the model on", "graphopt doctor")
        self._backends = backends
        self._chooser = Chooser(model, backends, target)
        self._strict = strict
        self.model = without_unclaimed_functions(model, self._chooser)

    def place(self, refused: Refused | None = None, empty: str = "") -> Placement:
        """Cut the model into regions: each node goes to the first backend that claims and does not refuse it.

        Args:
            refused: what turned out since.
            empty: backend of a model without nodes; the most preferred one when not given.

        Raises:
            BackendError: as for ``place``.
        """
        known = refused or {}
        nodes = list(self.model.graph)
        choices = [self._chooser.choose(node, self._strict, known.get(node)) for node in nodes]
        parts = merge_regions(nodes, [choice.backend for choice in choices]) or [[]]
        borders = Borders(self.model, [[nodes[i] for i in part] for part in parts])
        regions = tuple(
            Region(
                index,
                choices[part[0]].backend if part else empty or self._backends[0].name,
                tuple(nodes[i] for i in part),
                tuple(borders.inputs[index]),
                tuple(borders.outputs[index]),
            )
            for index, part in enumerate(parts)
        )
        rows = _rows(self.model, self._backends, regions, dict(zip(nodes, choices, strict=True)))
        return Placement(self.model, regions, tuple(rows))

    def taken_elsewhere(self, node: ir.Node, backend: str) -> bool:
        """Whether a backend less preferred than ``backend`` claims the node too."""
        names = [known.name for known in self._backends]
        return self._chooser.claimed_by(node, names[names.index(backend) + 1 :])


def place(model: ir.Model, backends: Sequence[Backend], target: Target, *, strict: bool = False) -> Placement:
    """Cut a model into regions: each node goes to the first backend that claims it.

    Args:
        model: topologically sorted, with dtypes on its values; not changed.
        backends: most preferred first.
        target: the machine it is placed for.
        strict: a node the first backend does not take is an error.

    Raises:
        BackendError: a node nobody takes, or with ``strict`` not the first backend; the message names
            the node and says why.
    """
    return Placer(model, backends, target, strict=strict).place()


def _rows(
    model: ir.Model,
    backends: Sequence[Backend],
    regions: Sequence[Region],
    choices: Mapping[ir.Node, Choice],
) -> Iterator[PlacementRow]:
    flops = model_flops(model).per_node
    for backend in backends:
        own = [region for region in regions if region.backend == backend.name]
        if not own:
            continue
        nodes = [node for region in own for node in region.nodes]
        known = [count for node in nodes if (count := flops.get(node)) is not None]
        fell_back: dict[str, list[str]] = {}
        for node in nodes:
            for reason in choices[node].refusals:
                fell_back.setdefault(reason, []).append(node.name or node.op_type)
        yield PlacementRow(
            backend.name,
            len(own),
            len(nodes),
            sum(known) if known else None,
            "; ".join(f"{reason} ({len(names)} nodes)" for reason, names in fell_back.items()),
            {reason: tuple(names) for reason, names in fell_back.items()},
        )
