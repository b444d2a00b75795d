"""The TensorRT backend: engines for NVIDIA GPUs, built by whichever TensorRT can build for the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphopt.backends.base import Available, Blob, BuildOptions, Claim, RegionRefused, Unavailable
from graphopt.backends.tensorrt.architectures import can_claim, library_for
from graphopt.backends.tensorrt.building.builder import shared_builder
from graphopt.backends.tensorrt.building.files import RegionFiles, model_outputs, region_files
from graphopt.backends.tensorrt.building.refusals import refused_nodes
from graphopt.backends.tensorrt.building.request import BuildRefused, BuildRequest
from graphopt.backends.tensorrt.claims import claim, misread
from graphopt.backends.tensorrt.key import digest, plan_key
from graphopt.backends.tensorrt.legalize import LEGALIZE_PASSES
from graphopt.backends.tensorrt.module import FIXES, libraries

if TYPE_CHECKING:
    import onnx

    from graphopt.pipeline.pass_base import Pass
    from graphopt.targets.target import Target


@dataclass(frozen=True)
class TensorRTBackend:
    """Takes what TensorRT's parser knows; TensorRT's verdict on the details comes when building."""

    name: str = "tensorrt"
    target_kinds: tuple[str, ...] = ("cuda",)
    least_share: float = 0.0

    def availability(self) -> Available | Unavailable:
        """Whether any TensorRT can be imported here."""
        found = libraries()
        if not found:
            return Unavailable("neither tensorrt nor tensorrt_rtx can be imported", FIXES["tensorrt_rtx"])
        return Available(", ".join(library.title for library in found))

    def claims(self, node: ir.Node, target: Target) -> Claim:
        """Nodes whose operator and dtypes TensorRT has, on GPUs that some TensorRT here builds for."""
        if target.kind != "cuda":
            return Claim(False, "it is for NVIDIA GPUs")
        library, reason = can_claim(target.architectures)
        if library is None:
            return Claim(False, reason)
        return claim(node, library, target.architectures)

    @property
    def legalize_passes(self) -> tuple[type[Pass], ...]:
        """The passes of the ``legalize`` folder."""
        return LEGALIZE_PASSES

    def legalize(self, target: Target) -> Sequence[Pass]:  # noqa: ARG002 (part of the protocol)
        """Every one of them: they choose by what they see in the graph."""
        return tuple(cls() for cls in LEGALIZE_PASSES)

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:
        """One engine for all architectures of the target, and what a host must have to run it.

        Raises:
            RegionRefused: TensorRT does not take the region, or some nodes of it.
            TargetError: no TensorRT here builds for the target with these options.
            UsageError: an option that TensorRT does not have.
            BackendError: TensorRT cannot be started.
        """
        import onnx

        architectures = options.target.architectures
        library = library_for(architectures, options.engine.hardware_compatible)
        if reasons := misread(region):
            raise RegionRefused("TensorRT would read some nodes as something else", reasons=reasons)
        with region_files(region) as files:
            plan = files.folder / "engine.plan"
            model = onnx.load_model_from_string(files.data)
            request = BuildRequest(
                library.name, str(files.model), str(plan), architectures, options.engine, model_outputs(model)
            )
            try:
                reply = shared_builder().build(request)
            except BuildRefused as refused:
                reasons = _explain(refused, model, files, request)
                message = f"{library.title} refuses the region: {refused.message}"
                raise RegionRefused(message, reasons=reasons) from refused
            data = plan.read_bytes()
            facts = {**reply.facts, "model": files.digest, "plan": digest(data), "notes": list(reply.notes)}
        return Blob(self.name, data, facts | {"key": plan_key(facts)})


BACKEND = TensorRTBackend()


def _explain(
    refused: BuildRefused, model: onnx.ModelProto, files: RegionFiles, request: BuildRequest
) -> dict[str, str]:
    """Which nodes of the region are refused, found by handing TensorRT parts of it."""

    def attempt(part: onnx.ModelProto, plan: str) -> BuildRefused | None:
        # Beside the region's own model: the weights are the same file.
        path = files.folder / "part.onnx"
        path.write_bytes(part.SerializeToString())
        try:
            shared_builder().build(replace(request, model=str(path), plan=plan, outputs=model_outputs(part)))
        except BuildRefused as again:
            return again
        return None

    plan = str(files.folder / "part.plan")
    return refused_nodes(model, refused, lambda part: attempt(part, ""), lambda part: attempt(part, plan))
