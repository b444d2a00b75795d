"""FoldConstants: compute at compile time what depends on constants alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.ir.walk import nodes
from graphopt.passes.fold._replace import replace_by_constant
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass

# Different every time, by design.
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
# Folding these would undo a compression the model's author chose.
_DECOMPRESSES = frozenset({"DequantizeLinear"})
# Outputs that may be larger than all inputs together: never folded before their size is known.
_GROWS = frozenset(
    {"ConstantOfShape", "Expand", "EyeLike", "OneHot", "Pad", "Range", "Resize", "Tile", "Upsample"}
)
# A value this small may stay: its bytes are nothing beside the node that made it.
_SMALL_BYTES = 1024


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Replace nodes whose inputs are all constant by their value.

    Before: ``y = Mul(c1, c2)`` with initializers c1, c2.
    After:  initializer ``y``.
    Needs:  constants lifted to initializers.
    Keeps:  graph outputs stay node outputs; compressed weights stay compressed.
    Skips:  random ops, control flow, other domains, DequantizeLinear; a value that would make the
            model larger: more bytes than the constants it replaces, beyond the fold budget.

    All foldable nodes are evaluated as one model in one run, so a chain costs one evaluation.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Fold once; a second run finds only what other passes uncovered in between."""
        candidates = _candidates(model)
        frontier = _affordable(candidates, ctx)
        if not frontier:
            return False
        values = _evaluate(model, candidates, frontier, ctx)
        for value in frontier:
            if value in values:
                _replace(value, values[value], model, ctx)
        return bool(values)


Array = npt.NDArray[np.generic]


def _is_constant(value: ir.Value | None) -> bool:
    """A constant nobody can override: an initializer that is not also a graph input."""
    return value is None or (value.const_value is not None and not value.is_graph_input())


def _candidates(model: ir.Model) -> dict[ir.Node, None]:
    """Nodes that depend on constants alone, in an order in which they can be evaluated."""
    found: dict[ir.Node, None] = {}
    computed: set[ir.Value] = set()
    for node in nodes(model):
        if not _foldable(node) or not any(v is not None for v in node.inputs):
            continue
        if all(_is_constant(v) or v in computed for v in node.inputs):
            found[node] = None
            computed.update(node.outputs)
    return found


def _foldable(node: ir.Node) -> bool:
    if node.domain not in ("", "ai.onnx") or node.op_type in _RANDOM | _DECOMPRESSES:
        return False
    if any(value.is_graph_output() for value in node.outputs):
        return False
    for attr in node.attributes.values():
        if attr.is_ref() or attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            return False
    if any(isinstance(value.type, ir.SequenceType | ir.OptionalType) for value in node.outputs):
        return False
    return node.op_type not in _GROWS or all(_known_bytes(v) is not None for v in node.outputs)


def _known_bytes(value: ir.Value) -> int | None:
    """Bytes of a value whose shape and type inference settled, else None."""
    if value.const_value is not None:
        return value.const_value.nbytes
    if value.shape is None or value.dtype is None or value.dtype == ir.DataType.STRING:
        return None
    if not value.shape.is_static():
        return None
    return int(np.prod(value.shape.numpy(), dtype=object) * value.dtype.itemsize)


def _affordable(candidates: dict[ir.Node, None], ctx: PassContext) -> list[ir.Value]:
    """The values to fold: where constant meets variable, as far up as the byte budget allows.

    A value too expensive to store stays a node; the values it is computed from are tried instead.
    """
    budget = ctx.fold_budget_bytes
    chosen: list[ir.Value] = []
    # What is folded may need the value of a node that stays: that one remains a candidate.
    folding = dict(candidates)
    for node in reversed(candidates):
        needed = [v for v in node.outputs if _used_outside(v, folding)]
        if not needed:
            continue
        cost = sum(_cost(value) for value in needed)
        freed = _bytes_freed(node)
        growth = max(0, cost - freed)
        if cost > _SMALL_BYTES and growth > 0 and (growth > budget or cost > 2 * freed):
            # `folding` shrinks as we go up, so the producers see this node as an outside use.
            del folding[node]
            ctx.missed(FoldConstants.name(), node, f"the folded value has {cost} bytes, its inputs {freed}")
            continue
        budget -= growth
        chosen.extend(needed)
    return chosen[::-1]


def _used_outside(value: ir.Value, inside: Mapping[ir.Node, None]) -> bool:
    return any(usage.node not in inside for usage in value.uses())


def _cost(value: ir.Value) -> int:
    known = _known_bytes(value)
    # Unknown shapes only come from ops that cannot grow: bounded by their inputs.
    return known if known is not None else _bytes_read(value.producer())


def _bytes_read(node: ir.Node | None) -> int:
    """Bytes of all constants that ``node`` is computed from."""
    constants: dict[ir.Value, int] = {}
    seen, stack = {node}, [node]
    while stack:
        current = stack.pop()
        for value in current.inputs if current is not None else ():
            if value is None:
                continue
            if value.const_value is not None:
                constants[value] = value.const_value.nbytes
            producer = value.producer()
            if producer is not None and producer not in seen:
                seen.add(producer)
                stack.append(producer)
    return sum(constants.values())


def _bytes_freed(node: ir.Node | None) -> int:
    """Bytes of the constants that go when ``node`` goes, with what only it needs."""
    if node is None:
        return 0
    dying, stack = {node}, [node]
    constants: dict[ir.Value, None] = {}
    while stack:
        for value in stack.pop().inputs:
            if value is None:
                continue
            if value.const_value is not None:
                constants[value] = None
            producer = value.producer()
            if producer is not None and producer not in dying and _only_for(producer, dying):
                dying.add(producer)
                stack.append(producer)
    return sum(
        value.const_value.nbytes
        for value in constants
        if value.const_value is not None and all(use.node in dying for use in value.uses())
    )


def _only_for(node: ir.Node, readers: set[ir.Node]) -> bool:
    return all(use.node in readers for value in node.outputs for use in value.uses())


def _evaluate(
    model: ir.Model, candidates: Mapping[ir.Node, None], wanted: Sequence[ir.Value], ctx: PassContext
) -> dict[ir.Value, Array]:
    """Values of ``wanted``; all in one run, or one at a time when the whole fails."""
    cone = _cone(candidates, wanted)
    try:
        return _run(model, cone, wanted, ctx)
    except (GraphoptError, RuntimeError, ValueError, TypeError, KeyError, IndexError):
        pass
    values: dict[ir.Value, Array] = {}
    for value in wanted:
        try:
            values.update(_run(model, _cone(candidates, [value]), [value], ctx))
        except (GraphoptError, RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            ctx.missed(FoldConstants.name(), value.producer(), f"could not be evaluated: {reason}")
    return values


def _cone(candidates: Mapping[ir.Node, None], wanted: Sequence[ir.Value]) -> list[ir.Node]:
    """The candidates that ``wanted`` depends on, in evaluation order."""
    needed: set[ir.Node] = set()
    stack = [value.producer() for value in wanted]
    while stack:
        node = stack.pop()
        if node is None or node in needed or node not in candidates:
            continue
        needed.add(node)
        stack.extend(value.producer() for value in node.inputs if value is not None)
    return [node for node in candidates if node in needed]


def _run(
    model: ir.Model, cone: Sequence[ir.Node], wanted: Sequence[ir.Value], ctx: PassContext
) -> dict[ir.Value, Array]:
    piece = _piece(model, cone, wanted)
    names = [f"out{i}" for i in range(len(wanted))]
    if ctx.evaluate is not None:
        results = ctx.evaluate(piece).run({})
        return {value: results[name] for value, name in zip(wanted, names, strict=True)}
    from onnx.reference import ReferenceEvaluator

    outputs = ReferenceEvaluator(ir.to_proto(piece)).run(None, {})
    return {value: np.asarray(array) for value, array in zip(wanted, outputs, strict=True)}


def _piece(model: ir.Model, cone: Sequence[ir.Node], wanted: Sequence[ir.Value]) -> ir.Model:
    """``cone`` as a model of its own: no inputs, ``wanted`` as outputs."""
    mapped: dict[ir.Value, ir.Value] = {}
    constants: list[ir.Value] = []

    def use(value: ir.Value | None) -> ir.Value | None:
        if value is None:
            return None
        if value not in mapped:
            tensor = value.const_value
            assert tensor is not None  # _candidates saw to it
            mapped[value] = ir.Value(
                name=f"c{len(constants)}",
                type=ir.TensorType(tensor.dtype),
                shape=ir.Shape(tensor.shape.numpy()),
                const_value=tensor,
            )
            constants.append(mapped[value])
        return mapped[value]

    copies: list[ir.Node] = []
    for index, node in enumerate(cone):
        copy = ir.Node(
            node.domain,
            node.op_type,
            [use(v) for v in node.inputs],
            list(node.attributes.values()),
            overload=node.overload,
            num_outputs=len(node.outputs),
            name=f"n{index}",
        )
        for position, (old, new) in enumerate(zip(node.outputs, copy.outputs, strict=True)):
            new.name = f"n{index}_{position}"
            new.type = old.type
            mapped[old] = new
        copies.append(copy)
    outputs = []
    for index, value in enumerate(wanted):
        mapped[value].name = f"out{index}"
        outputs.append(mapped[value])
    graph = ir.Graph(
        (),
        outputs,
        nodes=copies,
        initializers=constants,
        opset_imports=dict(model.graph.opset_imports),
        name="constants",
    )
    return ir.Model(graph, ir_version=model.ir_version)


def _replace(value: ir.Value, array: Array, model: ir.Model, ctx: PassContext) -> None:
    node = value.producer()
    constant = replace_by_constant(value, array, model)
    assert constant.const_value is not None
    what = f"{constant.const_value.dtype.name}{list(array.shape)}"
    ctx.applied(FoldConstants.name(), node, f"computed at compile time: {what}")
