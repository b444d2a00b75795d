"""Bring a model's standard operators to the canonical opset, in place, node by node.

onnx's own ``version_converter`` is not used: it goes through its C++ IR and a whole protobuf, and loses
functions, metadata, dim names and initializers that are also inputs on the way. Between opset 7 and 23
most operators only gained types and optional parts; ``widens`` reads that off the schemas. The two
dozen that changed in another way have an adapter, and a test proves there is no third kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import onnx
import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir.operators import describe
from graphopt.ir.opset import attributes_to_inputs as moved
from graphopt.ir.opset import semantics
from graphopt.ir.opset.scene import Edit, Refused, Scene
from graphopt.ir.schemas import is_runtime_op, schema
from graphopt.ir.walk import bodies

OLDEST, CANONICAL, NEWEST = 7, 23, 26
"""Conversion starts at OLDEST; models older than CANONICAL are brought there; up to NEWEST they stay."""

Adapter = Callable[[ir.Node, int, Scene], Edit]

_AXES_UNTIL_17 = [
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
]

ADAPTERS: dict[str, tuple[int, Adapter]] = {
    **dict.fromkeys(_AXES_UNTIL_17, (18, moved.axes)),
    **dict.fromkeys(("ReduceSum", "Squeeze", "Unsqueeze"), (13, moved.axes)),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), (13, semantics.softmax)),
    "BatchNormalization": (14, semantics.batch_normalization),
    "Clip": (11, moved.clip),
    "DFT": (20, moved.dft),
    "Dropout": (12, moved.dropout),
    "GridSample": (20, semantics.grid_sample),
    "GroupNormalization": (21, semantics.group_normalization),
    "Pad": (11, moved.pad),
    "Resize": (13, semantics.resize),
    "RoiAlign": (16, semantics.roi_align),
    "Scan": (9, semantics.scan),
    "Scatter": (11, semantics.scatter),
    "Slice": (10, moved.slice_),
    "Split": (18, moved.split),
    "TopK": (10, moved.top_k),
    "Upsample": (10, moved.upsample),
}
"""For each operator that changed its meaning: since which opset it is as it is now, and what to do before."""


def target_version(model: ir.Model) -> int:
    """The opset the model should have: 23, or its own if it is between 23 and 26."""
    return min(max(model.opset_imports.get("", CANONICAL), CANONICAL), NEWEST)


def convert(model: ir.Model, infer: Callable[[], object]) -> bool:
    """Convert the model and its functions to ``target_version``.

    Args:
        model: its graphs sorted; changed in place, or not at all.
        infer: gives the model's values shapes and types at the old opset; called when an adapter asks.

    Returns:
        Whether anything changed.

    Raises:
        Refused: a node cannot be said in the newer opset; the model is as it was.
        ModelError: the model is newer than opset 26 and uses an operator that changed since.
    """
    version = target_version(model)
    scene = Scene(infer)
    edits: list[Edit] = []
    changed = False
    for owner in bodies(model):
        own = owner.opset_imports.get("")
        if own is None or own == version:
            continue
        changed = True
        for node in owner.all_nodes():
            if node.domain == "" and node.op_identifier() not in model.functions:
                edit = _plan(node, own, version, scene)
                if edit is not None:
                    edits.append(edit)
    for edit in edits:
        edit()
    for owner in bodies(model):
        if "" in owner.opset_imports or owner is model.graph:
            changed |= owner.opset_imports.get("") != version
            owner.opset_imports[""] = version
    return changed


def _plan(node: ir.Node, old: int, new: int, scene: Scene) -> Edit | None:
    """What to do with one node, or None when it stays as it is."""
    if old < OLDEST:
        raise Refused(f"opset {old} is older than {OLDEST}")
    until, adapter = ADAPTERS.get(node.op_type, (0, None))
    if adapter is not None and old < until <= new:
        try:
            return adapter(node, old, scene)
        except Refused as refusal:
            raise Refused(f"{describe(node)}: {refusal}") from None
    before, after = schema("", node.op_type, old), schema("", node.op_type, new)
    if before is None and is_runtime_op(node.op_type):
        if after is None or node.op_type == "LayerNormalization":
            return None  # ONNX Runtime's own, which has no opset; its LayerNormalization is the standard's
        raise Refused(
            f"{describe(node)} is ONNX Runtime's own operator, which the standard defines differently"
        )
    if before is None:
        raise Refused(f"{describe(node)} is unknown at opset {old}")
    if after is not None and before.since == after.since:
        return None
    if new < old:
        raise ModelError(
            f"{describe(node)} is of opset {before.since}: graphopt and its backends go up to {new}",
            f"export with opset {new} or older",
        )
    if after is None or not widens(node.op_type, before.since, after.since):
        raise Refused(f"{describe(node)} changed between opset {old} and {new}")
    return None


@cache
def widens(op_type: str, old: int, new: int) -> bool:
    """Whether every use of version ``old`` of an operator means the same in version ``new``.

    Read off the schemas: no attribute gone or with another default, none newly required, no fewer
    inputs or outputs allowed. Changes of meaning under the same schema are the adapters' business.
    """
    before = onnx.defs.get_schema(op_type, max_inclusive_version=old, domain="")
    after = onnx.defs.get_schema(op_type, max_inclusive_version=new, domain="")
    if after.deprecated:
        return False
    if after.min_input > before.min_input or after.max_input < before.max_input:
        return False
    if after.min_output > before.min_output or after.max_output < before.max_output:
        return False
    for name, attribute in before.attributes.items():
        twin = after.attributes.get(name)
        if twin is None or twin.type != attribute.type or _default(twin) != _default(attribute):
            return False
    return not any(a.required and name not in before.attributes for name, a in after.attributes.items())


def _default(attribute: onnx.defs.OpSchema.Attribute) -> bytes:
    value: onnx.AttributeProto | None = attribute.default_value
    return b"" if value is None else bytes(value.SerializeToString())


def changed_operators(old: int, new: int) -> Iterator[str]:
    """Every standard operator of opset ``old`` whose definition is another one in ``new``."""
    names = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == "" and not s.deprecated}
    for name in sorted(names):
        before, after = schema("", name, old), schema("", name, new)
        if before is not None and not before.deprecated and (after is None or after.since != before.since):
            yield name
