"""A plan as text, one line per step."""

from __future__ import annotations

from collections.abc import Iterator

from graphopt.backends.native.expression import RESULT, Expression
from graphopt.backends.native.plan import Program, Value


def plan_text(program: Program) -> str:
    """The steps with shapes and expressions, for people."""
    inputs = ", ".join(map(_value, program.inputs))
    return "\n".join(
        [f"inputs {inputs}", *_lines(program, ""), f"outputs {', '.join(map(_value, program.outputs))}"]
    )


def _lines(program: Program, indent: str) -> Iterator[str]:
    for step in program.steps:
        outputs = ", ".join("_" if value is None else _value(value) for value in step.outputs)
        inputs = ", ".join("_" if value is None else _value(value) for value in step.inputs)
        shown = [f"{name}={value}" for name, value in step.attributes.items()]
        shown += [expression_text(result) for result in step.results]
        if step.epilogue is not None:
            shown.append(f"then {expression_text(step.epilogue)}")
        yield f"{indent}{outputs} = {step.op}({inputs}) {' '.join(shown)}"
        for branch in step.programs:
            yield f"{indent}  branch"
            yield from _lines(branch, indent + "    ")


def _value(value: Value) -> str:
    dims = "?" if value.dims is None else ",".join("?" if dim is None else str(dim) for dim in value.dims)
    return f"{'%' if value.tensor is None else '$'}{value.name}[{dims}]"


def expression_text(expression: Expression) -> str:
    """An expression in prefix form; shared parts are spelled each time."""
    if expression is RESULT:
        return "result"
    if expression.value is not None:
        return expression.value.name
    if expression.number is not None:
        return f"{expression.number:g}"
    return f"{expression.op}({', '.join(map(expression_text, expression.arguments))})"
