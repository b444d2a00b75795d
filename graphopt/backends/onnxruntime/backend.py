"""The ONNX Runtime backend: the baseline every other one must beat, and the fallback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphopt.backends.base import Available, Blob, BuildOptions, Claim, Unavailable
from graphopt.backends.flatten import flatten
from graphopt.backends.onnxruntime.domains import DOMAINS
from graphopt.backends.onnxruntime.ir_version import ir_version_for_onnxruntime
from graphopt.backends.onnxruntime.legalize import LEGALIZE_PASSES, NEEDED_PASSES
from graphopt.backends.onnxruntime.opset import opset_for_onnxruntime
from graphopt.backends.onnxruntime.session import FIX, MOST_PLANNED_NODES, import_onnxruntime
from graphopt.backends.onnxruntime.settings import session_config
from graphopt.backends.serialize import serialize
from graphopt.errors import BackendError
from graphopt.ir.walk import num_nodes

if TYPE_CHECKING:
    from graphopt.pipeline.pass_base import Pass
    from graphopt.targets.target import Target


@dataclass(frozen=True)
class OnnxRuntimeBackend:
    """Runs whatever ONNX Runtime runs; says so node by node only where it is certain not to."""

    name: str = "onnxruntime"
    target_kinds: tuple[str, ...] = ("cpu", "cuda")
    least_share: float = 0.0

    def availability(self) -> Available | Unavailable:
        """Whether the onnxruntime package can be imported."""
        try:
            return Available(str(import_onnxruntime().__version__))
        except BackendError as error:
            return Unavailable(error.message, error.hint)
        except Exception as error:
            # A broken native library raises whatever it likes while being imported.
            return Unavailable(f"onnxruntime cannot be imported: {error}", FIX)

    def claims(self, node: ir.Node, target: Target) -> Claim:
        """Every node of a domain it has operators for; its verdict on the version comes when building."""
        if target.kind not in self.target_kinds:
            return Claim(False, f"it is set up for {' and '.join(self.target_kinds)}, not {target.kind}")
        if node.domain not in DOMAINS:
            return Claim(False, f"it has no operator {node.domain}::{node.op_type}")
        return Claim(True)

    @property
    def legalize_passes(self) -> tuple[type[Pass], ...]:
        """The passes of the ``legalize`` folder."""
        return LEGALIZE_PASSES

    def legalize(self, target: Target) -> Sequence[Pass]:
        """Every one of them on a CPU: they choose by what they see in the graph.

        On a GPU only what its kernels cannot do without: which spelling is fast was measured on CPUs.
        """
        wanted = LEGALIZE_PASSES if target.kind == "cpu" else NEEDED_PASSES
        return tuple(cls() for cls in wanted)

    def build(self, region: ir.Model, options: BuildOptions) -> Blob:
        """ONNX bytes whose large weights lie in ``options.weights``, and the settings the region wants."""
        flat = flatten(region)
        opset, ir_version = opset_for_onnxruntime(flat), ir_version_for_onnxruntime(flat)
        data = serialize(flat, options.weights, opset=opset, ir_version=ir_version, provenance=False)
        settings: dict[str, object] = {}
        if config := session_config(region):
            settings["session_config"] = config
        if (nodes := num_nodes(flat)) > MOST_PLANNED_NODES:
            settings["nodes"] = nodes
        return Blob(self.name, data, settings)


BACKEND = OnnxRuntimeBackend()
