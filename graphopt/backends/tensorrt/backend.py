"""The TensorRT backend: engines for NVIDIA GPUs, built by whichever TensorRT can build for the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphopt.backends.base import Available, Blob, BuildOptions, Claim, Unavailable
from graphopt.backends.flatten import flatten
from graphopt.backends.serialize import serialize
from graphopt.backends.tensorrt.architectures import library_for
from graphopt.backends.tensorrt.build import build_plan
from graphopt.backends.tensorrt.claims import claim
from graphopt.backends.tensorrt.legalize import LEGALIZE_PASSES
from graphopt.backends.tensorrt.module import FIXES, libraries
from graphopt.errors import TargetError

if TYPE_CHECKING:
    from graphopt.pipeline.pass_base import Pass
    from graphopt.targets.target import Target


@dataclass(frozen=True)
class TensorRTBackend:
    """Takes what TensorRT's parser knows; the parser's verdict on the details comes when building."""

    name: str = "tensorrt"
    target_kinds: tuple[str, ...] = ("cuda",)

    def availability(self) -> Available | Unavailable:
        """Whether any TensorRT can be imported here."""
        found = libraries()
        if not found:
            return Unavailable("neither tensorrt nor tensorrt_rtx can be imported", FIXES["tensorrt_rtx"])
        return Available(", ".join(library.title for library in found))

    def claims(self, node: ir.Node, target: Target) -> Claim:
        """Nodes whose operator and dtypes TensorRT has, on GPUs some TensorRT here builds for."""
        if target.kind != "cuda":
            return Claim(False, "it is for NVIDIA GPUs")
        try:
            library = library_for(target.architectures)
        except TargetError as error:
            return Claim(False, str(error))
        return claim(node, library)

    @property
    def legalize_passes(self) -> tuple[type[Pass], ...]:
        """The passes of the ``legalize`` folder."""
        return LEGALIZE_PASSES

    def legalize(self, target: Target) -> Sequence[Pass]:  # noqa: ARG002 (part of the protocol)
        """Every one of them: they choose by what they see in the graph."""
        return tuple(cls() for cls in LEGALIZE_PASSES)

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:
        """One plan for all architectures of the target, and what a host must have to run it.

        Raises:
            RegionRefused: TensorRT does not take the region.
            TargetError: no TensorRT here builds for the target.
        """
        library = library_for(options.target.architectures)
        plan = build_plan(library, serialize(flatten(region)), options.target.architectures, options.engine)
        return Blob(self.name, plan.data, plan.options)


BACKEND = TensorRTBackend()
