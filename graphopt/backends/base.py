"""What a backend is: availability, claims, legalisation, build. Loading lives in its ``load.py``.

A backend is a package with two modules: ``backend.py`` holds the compiler side, ``BACKEND``, and
``load.py`` the runtime side, ``load`` (see ``executable.Loader``), which imports no compiler room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import onnx_ir as ir

from graphopt.backends.engine_options import EngineOptions
from graphopt.backends.serialize import WeightSink
from graphopt.errors import BackendError

if TYPE_CHECKING:
    from graphopt.pipeline.pass_base import Pass
    from graphopt.targets.target import Target


@dataclass(frozen=True)
class Available:
    """The backend can be used here.

    Attributes:
        version: of the runtime behind it.
    """

    version: str


@dataclass(frozen=True)
class Unavailable:
    """The backend cannot be used here.

    Attributes:
        reason: one sentence.
        fix: the command that mends it.
    """

    reason: str
    fix: str


@dataclass(frozen=True)
class Claim:
    """A backend's answer to "can you run this node?".

    Attributes:
        accepted: whether it takes the node.
        reason: why not, when it does not.
    """

    accepted: bool
    reason: str = ""


@dataclass(frozen=True)
class BuildOptions:
    """What a build may depend on besides the region.

    Attributes:
        target: the machine built for.
        threads: intra-op threads the result should use.
        weights: takes the region's large weights, so that they are stored once in the artifact;
            None keeps them inside the blob.
        engine: what a backend that builds engines heeds.
    """

    target: Target
    threads: int
    weights: WeightSink | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class Blob:
    """A built region, as it is written into an artifact.

    Attributes:
        backend: name of the backend whose ``load`` opens it.
        data: the bytes of ``regions/<n>.<backend>``.
        options: plain JSON the loader needs besides the bytes.
    """

    backend: str
    data: bytes
    options: dict[str, object] = field(default_factory=dict)


class RegionRefused(BackendError):
    """A backend claimed a region's nodes and cannot build it after all.

    Attributes:
        reasons: name of a node of the legalised region → why the backend refuses it, in the backend's
            own words. Empty when the refusal is about the region as a whole: ``message`` says why.
    """

    def __init__(self, message: str, hint: str = "", *, reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(message, hint)
        self.reasons: Mapping[str, str] = dict(reasons or {})


class Backend(Protocol):
    """One way of running regions."""

    @property
    def name(self) -> str:
        """The name placement tables and region files carry."""

    @property
    def target_kinds(self) -> tuple[str, ...]:
        """Kinds of targets it runs anything on ("cpu", "cuda"); elsewhere it is not even asked for."""

    @property
    def least_share(self) -> float:
        """Part of a model's work, between 0 and 1, below which its regions are not worth their borders."""

    def availability(self) -> Available | Unavailable:
        """Whether the runtime behind this backend is there; never raises, imports only when asked."""

    @property
    def legalize_passes(self) -> tuple[type[Pass], ...]:
        """Every pass ``legalize`` may answer with; their ``backend`` is this one's name."""

    def claims(self, node: ir.Node, target: Target) -> Claim:
        """Whether this backend has a kernel for ``node`` on ``target``.

        Placement asks about every node inside a subgraph too: a node with subgraphs goes to a backend
        that claims everything inside it. A call of a local function that is not claimed itself goes to
        a backend that claims every node of the body; it is inlined after the backend's own passes.
        """

    def legalize(self, target: Target) -> Sequence[Pass]:
        """The passes that rewrite a region into the spelling that runs fastest here, in order."""

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:
        """Compile a legalised region.

        Raises:
            RegionRefused: it claimed too much; placement gives the nodes named to the next backend.
            BackendError: anything else; the message names the node it stumbled over.
        """
