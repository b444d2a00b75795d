"""ExpandStandardFunctions: standard operators TensorRT lacks, by the bodies ONNX gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import onnx
import onnx.defs
import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.ir import walk
from graphopt.passes.canonical.infer_shapes import InferShapes
from graphopt.passes.canonical.lift_constants import LiftConstants
from graphopt.passes.canonical.scalar_range_operands import ScalarRangeOperands
from graphopt.passes.fold.dead_code import DeadCode
from graphopt.passes.fold.fold_constants import FoldConstants
from graphopt.passes.fold.inline_if import InlineIf
from graphopt.passes.simplify.fold_shape_of_known import FoldShapeOfKnown
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite import opfacts
from graphopt.rewrite.inline import inline_functions

if TYPE_CHECKING:
    from graphopt.targets.target import Target

LACKING = frozenset({"CenterCropPad", "NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss", "SwiGLU"})
"""Operators the parser does not import, and that ONNX defines by others which have meant the same since."""

YOUNGER = frozenset({"GroupNormalization", "Gelu", "Mish", "RMSNormalization", "RotaryEmbedding", "Swish"})
"""Operators some TensorRTs are too old for: expanded where the one that builds for the target is."""

_DOMAIN = "graphopt.body"
"""Where the functions live while they wait to be inlined: one for each node, since bodies depend on types."""

_TIDY = (
    LiftConstants,
    ScalarRangeOperands,
    InferShapes,
    FoldShapeOfKnown,
    FoldConstants,
    InlineIf,
    InferShapes,
    FoldShapeOfKnown,
    FoldConstants,
    DeadCode,
)
"""What makes of a body that serves every rank and size the one for those at hand."""

_ROUNDS = 3
"""How deep one operator's body may be made of others from the list."""


@dataclass(frozen=True)
class ExpandStandardFunctions(Pass):
    """Put ONNX's own definition in the place of operators that TensorRT's parser does not import.

    Before: ``y = CenterCropPad(x, size)``; ``loss = NegativeLogLikelihoodLoss(x, target)``.
    After:  the nodes of the body that the ONNX standard gives, with types and shapes.
    Needs:  the types of the operands where the body depends on them.
    Keeps:  the names of the results; what only older TensorRTs lack, where the one at hand is young enough.
    Skips:  operators without a body; MeanVarianceNormalization in other types than float16, which it lacks.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Expand, and once more what comes to light."""
        lacking = LACKING | unknown_to(ctx.target)
        changed = False
        for _ in range(_ROUNDS):
            if not self._expand(model, ctx, lacking):
                break
            changed = True
        return changed

    def _expand(self, model: ir.Model, ctx: PassContext, lacking: frozenset[str]) -> bool:
        opset = model.opset_imports.get("", 0)
        found = 0
        for node in list(walk.nodes(model)):
            if not _is_lacking(node, lacking):
                continue
            function = _body(node, opset)
            if function is None:
                ctx.missed(self.name(), node, f"ONNX gives no body for this {node.op_type}")
                continue
            proto, name = function, f"{node.op_type}_{found}"
            proto.domain, proto.name = _DOMAIN, name
            for default in opfacts.defaults("", node.op_type, opset).values():
                node.attributes.setdefault(default.name, default)
            model.functions[(_DOMAIN, name, "")] = ir.serde.deserialize_function(proto)
            node.domain, node.op_type = _DOMAIN, name
            found += 1
            ctx.applied(self.name(), node, "expanded by ONNX's own definition")
        if not found:
            return False
        model.opset_imports.setdefault(_DOMAIN, 1)
        inline_functions(model, lambda call: call.domain == _DOMAIN)
        model.opset_imports.pop(_DOMAIN, None)
        # Bodies ask at run time for ranks and sizes known here, and the parser wants some of them fixed.
        for step in _TIDY:
            step().run(model, ctx)
        return True


def unknown_to(target: Target | None) -> frozenset[str]:
    """Those of ``YOUNGER`` that the TensorRT which builds for ``target`` does not know."""
    from graphopt.backends.tensorrt.architectures import library_for
    from graphopt.backends.tensorrt.claims import parser_knows

    if target is None or target.kind != "cuda":
        return frozenset()
    try:
        library = library_for(target.architectures)
        return frozenset(name for name in YOUNGER if not parser_knows(library, name))
    except GraphoptError:  # nothing here builds for it: nothing will
        return frozenset()


def _is_lacking(node: ir.Node, lacking: frozenset[str]) -> bool:
    if node.domain != "":
        return False
    if node.op_type == "MeanVarianceNormalization":
        return node.inputs[0] is not None and node.inputs[0].dtype == ir.DataType.FLOAT16
    return node.op_type in lacking


def _body(node: ir.Node, opset: int) -> onnx.FunctionProto | None:
    """ONNX's body for ``node``, stamped with the model's opset; None where there is none."""
    schema: Any = opfacts.schema(node.domain, node.op_type, opset)  # the stubs lack what is asked below
    if schema is None:
        return None
    proto = onnx.FunctionProto()
    if schema.has_function:
        proto.ParseFromString(schema.function_body.SerializeToString())
    elif schema.has_context_dependent_function:
        types = [ir.serde.serialize_value(v).type.SerializeToString() if v else b"" for v in node.inputs]
        data = ir.serde.serialize_node(node).SerializeToString()
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
        if not versions:
            return None
        proto.ParseFromString(
            schema.get_context_dependent_function_with_opset_version(max(versions), data, types)
        )
    if not proto.node:
        return None
    made = {name for step in proto.node for name in step.output}
    while proto.output and proto.output[-1] not in made:  # a result nobody asked for
        proto.output.pop()
    del proto.opset_import[:]
    proto.opset_import.append(onnx.helper.make_opsetid("", opset))
    return proto
