"""A reduction takes the elementwise step in front of it along: what is reduced never reaches memory."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.plan import Program, Step, Value


def fuse_reductions(program: Program) -> None:
    """Let elementwise steps reduce their result at once, where nobody else reads it, in place.

    The elementwise step moves to where the reduction was.
    """
    for step in program.steps:
        for branch in step.programs:
            fuse_reductions(branch)
    makers = {value: step for step in program.steps for value in step.writes()}
    uses = program.use_counts()
    instead: dict[Step, Step | None] = {}
    for step in program.steps:
        maker = _maker(step, makers, uses)
        if maker is None:
            continue
        attributes = {"axes": axes} if (axes := step.attributes.get("axes")) is not None else {}
        maker.attributes |= {
            "reduce": step.attributes["kind"],
            "keepdims": step.attributes.get("keepdims", 1),
        }
        maker.attributes |= attributes
        maker.outputs = list(step.outputs)
        maker.take(step)
        instead[maker], instead[step] = None, maker
    moved = (instead.get(step, step) for step in program.steps)
    program.steps = [step for step in moved if step is not None]


def _maker(step: Step, makers: dict[Value, Step], uses: dict[Value, int]) -> Step | None:
    """The elementwise step that alone feeds a reduction in float32."""
    if step.op != "reduce" or len(step.inputs) != 1 or step.inputs[0] is None:
        return None
    value = step.inputs[0]
    maker = makers.get(value)
    if maker is None or maker.op != "elementwise" or uses[value] != 1 or value.dtype != ir.DataType.FLOAT:
        return None
    return maker if len(maker.results) == 1 and not maker.attributes else None
