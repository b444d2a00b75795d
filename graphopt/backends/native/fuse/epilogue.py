"""What follows a product, convolution or norm element by element moves into its kernel."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.expression import RESULT, Expression, replace_leaves, walk
from graphopt.backends.native.fuse.elementwise import fits, keeps_shape
from graphopt.backends.native.layout.order import reshaped
from graphopt.backends.native.plan import Program, Step, Value

ANCHORS = frozenset({"conv", "conv_transpose", "group_norm", "layer_norm", "matmul"})
MOST_OPERANDS, MOST_INSTRUCTIONS, MOST_CONSTANTS = 6, 16, 16
"""What an epilogue holds."""


def fuse_epilogues(program: Program) -> None:
    """Put elementwise steps into the anchor whose only reader they are, in place.

    A residual sum of two anchors goes to the later one. The anchor moves to where the elementwise step was.
    """
    for step in program.steps:
        for branch in step.programs:
            fuse_epilogues(branch)
    position = {step: index for index, step in enumerate(program.steps)}
    makers = {value: step for step in program.steps for value in step.writes()}
    uses = program.use_counts()
    instead: dict[Step, Step | None] = {}
    for step in program.steps:
        anchor = _anchor(step, makers, uses, position)
        if anchor is None:
            continue
        value = anchor.writes()[0]
        anchor.epilogue = _over_result(step.results[0], value)
        anchor.outputs = list(step.outputs)
        anchor.take(step)
        makers[step.writes()[0]] = anchor
        instead[anchor], instead[step] = None, anchor
        position[anchor] = position[step]
    moved = (instead.get(step, step) for step in program.steps)
    program.steps = [step for step in moved if step is not None]
    for step in program.steps:
        _absorb_bias(step)


def _over_result(root: Expression, value: Value) -> Expression:
    """The expression with what the anchor gives spelled ``RESULT``."""
    return replace_leaves([root], lambda leaf: RESULT if leaf.value is value else None)[0]


def _anchor(
    step: Step, makers: dict[Value, Step], uses: dict[Value, int], position: dict[Step, int]
) -> Step | None:
    """The anchor that can take an elementwise step along."""
    if (
        step.op != "elementwise"
        or len(step.results) != 1
        or step.attributes
        or not _is_float(step.results[0])
    ):
        return None
    if not fits(step.results, MOST_OPERANDS + 1, MOST_INSTRUCTIONS, MOST_CONSTANTS):
        return None
    found = [
        maker
        for value in step.inputs
        if value is not None
        and (maker := makers.get(value)) is not None
        and maker.op in ANCHORS
        and maker.epilogue is None
        and len(maker.writes()) == 1
        and uses[value] == 1
        and keeps_shape(step, value)
    ]
    return max(found, key=position.__getitem__, default=None)


def _is_float(root: Expression) -> bool:
    """Whether everything is computed in float32."""
    return all(part.dtype == ir.DataType.FLOAT for part in walk([root]))


def _absorb_bias(step: Step) -> None:
    """A constant row added first is the product's bias."""
    if step.op not in ("matmul", "conv", "conv_transpose") or step.epilogue is None or len(step.inputs) > 2:
        return
    parts = walk([step.epilogue])
    readers = [part for part in parts if RESULT in part.arguments]
    if len(readers) != 1 or readers[0].op != "add":
        return
    other = next((a for a in readers[0].arguments if a is not RESULT), None)
    row = None if other is None or other.value is None else _row(other.value, step.writes()[0])
    if row is None or other is None or sum(other in part.arguments for part in parts) != 1:
        return
    step.inputs.append(row)
    step.attributes.pop("beta", None)  # of a bias it did not have
    step.epilogue = None if step.epilogue is readers[0] else _without(step.epilogue, readers[0])


def _row(value: Value, result: Value) -> Value | None:
    """A constant with one number per column of the result, as a vector."""
    if value.tensor is None or value.dims is None or not value.dims or not result.dims:
        return None
    if any(dim != 1 for dim in value.dims[:-1]) or value.dims[-1] != result.dims[-1]:
        return None
    columns = value.dims[-1]
    assert isinstance(columns, int)
    return value if len(value.dims) == 1 else reshaped(value, (columns,))


def _without(root: Expression, part: Expression) -> Expression:
    """The expression with ``RESULT`` in place of a part."""
    new: dict[Expression, Expression] = {}
    for each in walk([root]):
        if each is part:
            new[each] = RESULT
        elif each.arguments:
            arguments = tuple(new[argument] for argument in each.arguments)
            new[each] = Expression(each.op, each.dtype, arguments, of=each.of)
        else:
            new[each] = each
    return new[root]
