"""A backend that pretends to build engines: it claims much, and refuses what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir
import pytest

from graphopt.backends import registry
from graphopt.backends.base import Available, Backend, Blob, BuildOptions, Claim, RegionRefused, Unavailable
from graphopt.backends.onnxruntime.backend import BACKEND as ONNXRUNTIME
from graphopt.pipeline.pass_base import Pass
from graphopt.targets.target import Target

Verdict = Callable[[ir.Model], "Mapping[str, str] | str | None"]
"""Why a legalised region is refused: by node, as a whole, or not at all."""


def takes_all(region: ir.Model) -> None:
    """Refuses nothing."""


@dataclass
class FakeEngine:
    """Claims everything but ``unclaimed``; every region it was asked to build is in ``asked``."""

    verdict: Verdict = takes_all
    unclaimed: frozenset[str] = frozenset()
    passes: tuple[Pass, ...] = ()
    answer: Available | Unavailable = field(default_factory=lambda: Available("1"))
    name: str = "engine"
    target_kinds: tuple[str, ...] = ("cuda",)
    least_share = 0.0
    asked: list[list[str]] = field(default_factory=list)
    options: list[BuildOptions] = field(default_factory=list)

    def availability(self) -> Available | Unavailable:
        return self.answer

    def claims(self, node: ir.Node, target: Target) -> Claim:
        assert target.kind == "cuda", "a CPU target asked a backend for GPUs"
        taken = node.op_type not in self.unclaimed and node.domain == ""
        return Claim(taken, "" if taken else f"it has no {node.op_type}")

    @property
    def legalize_passes(self) -> tuple[type[Pass], ...]:
        return tuple(type(p) for p in self.passes)

    def legalize(self, target: Target) -> tuple[Pass, ...]:
        return self.passes

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:
        self.asked.append([node.op_type for node in region.graph])
        self.options.append(options)
        verdict = self.verdict(region)
        if isinstance(verdict, str):
            raise RegionRefused(verdict)
        if verdict:
            raise RegionRefused("it refuses some nodes", reasons=verdict)
        return Blob(self.name, b"plan", {"architectures": list(options.target.architectures)})


def refuse(*op_types: str, most: int = 1_000) -> Verdict:
    """Refuse the first ``most`` nodes of these operators, as a parser that stops there does."""

    def verdict(region: ir.Model) -> Mapping[str, str]:
        bad = [node for node in region.graph if node.op_type in op_types]
        return {node.name or "": f"no importer for {node.op_type}" for node in bad[:most]}

    return verdict


def install(engine: FakeEngine, patch: pytest.MonkeyPatch) -> FakeEngine:
    """Let the engine and ONNX Runtime be all the backends there are."""
    found: tuple[Backend, ...] = (engine, ONNXRUNTIME)
    patch.setattr(registry, "all_backends", lambda: found)
    return engine
