"""The native backend: regions become plans of graphopt's own kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphopt.backends.base import Available, Blob, BuildOptions, Claim, RegionRefused, Unavailable
from graphopt.backends.native.module import import_kernels
from graphopt.errors import BackendError

if TYPE_CHECKING:
    from graphopt.pipeline.pass_base import Pass
    from graphopt.targets.target import Target


@dataclass(frozen=True)
class NativeBackend:
    """Runs float32 models, and the integer arithmetic around them, on the CPU."""

    name: str = "native"
    target_kinds: tuple[str, ...] = ("cpu",)
    least_share: float = 0.5

    def availability(self) -> Available | Unavailable:
        """Whether the native core loads."""
        try:
            return Available(str(import_kernels().version()))
        except BackendError as error:
            return Unavailable(error.message, error.hint)

    def claims(self, node: ir.Node, target: Target) -> Claim:
        """Nodes it can lower whose shapes follow from shapes."""
        from graphopt.backends.native.claims import claim

        if target.kind not in self.target_kinds:
            return Claim(False, f"it is for CPU targets, not {target.kind}")
        return claim(node)

    @property
    def legalize_passes(self) -> tuple[type[Pass], ...]:
        """None: layouts and fusions are decided on the plan, where every operator is one of few."""
        return ()

    def legalize(self, target: Target) -> Sequence[Pass]:  # noqa: ARG002 (part of the protocol)
        """Nothing."""
        return ()

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:
        """A plan whose large weights lie in ``options.weights``."""
        from graphopt.backends.native.claims import OLDEST_OPSET
        from graphopt.backends.native.lower.graph import NodeRefused
        from graphopt.backends.native.plan_file import write_plan
        from graphopt.backends.native.region import compile_region

        opset = region.opset_imports.get("", OLDEST_OPSET)
        if opset < OLDEST_OPSET:
            raise RegionRefused(f"native knows operators from opset {OLDEST_OPSET} on, not those of {opset}")
        try:
            program = compile_region(region)
        except NodeRefused as error:
            name = error.node.name or error.node.op_type
            raise RegionRefused(
                f"node '{name}' ({error.node.op_type}): {error.reason}", reasons={name: error.reason}
            ) from error
        data = write_plan(program, options.weights, isa=_held_to(options.target))
        # Not needed to run it: `explain` says from it what became one step.
        return Blob(self.name, data, {"fused": program.fused()})


BACKEND = NativeBackend()


def _held_to(target: Target) -> int:
    """The number of the instruction set of a target that is this machine held below what it has, else 0."""
    kernels = import_kernels()
    if target.isa in kernels.supported_isas() and target.isa != kernels.best_isa():
        return int(kernels.isa_number(target.isa))
    return 0
