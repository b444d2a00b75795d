"""ReplaceEinsum: products and sums over indices as MatMul, Mul, Transpose and ReduceSum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.passes.simplify._contraction import Side, Sizes, best_form, reshape_target, split_target
from graphopt.passes.simplify._equation import Labels, read_equation
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Dim, Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Refusal, Rule


@dataclass
class _Steps:
    """The right side under construction: one line per operator."""

    lines: list[str] = field(default_factory=list)
    constants: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = field(default_factory=dict)
    attributes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, call: str) -> str:
        """A step; returns the name of its result."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {call}")
        return name

    def with_numbers(self, op_type: str, value: str, numbers: Sequence[int]) -> str:
        """An operator whose second input is a list of numbers; no step where the list is empty."""
        if not numbers:
            return value
        constant = f"n{len(self.constants)}"
        self.constants[constant] = np.asarray(numbers, np.int64)
        kept = " <keepdims = 0>" if op_type == "ReduceSum" else ""
        return self.add(f"{op_type}{kept} ({value}, {constant})")

    def transpose(self, value: str, labels: Labels, order: Labels) -> str:
        """The value with its axes in another order; no step where it is the same."""
        if labels == order:
            return value
        name = f"p{len(self.attributes)}"
        self.attributes[name] = tuple(labels.index(label) for label in order)
        return self.add(f"Transpose <perm = @{name}> ({value})")

    def replacement(self, result: str) -> Replacement:
        """The right side whose last step gives ``result``."""
        last = [f"y = {self.lines[-1].partition(' = ')[2]}"] if self.lines else [f"y = {result}"]
        text = "; ".join((*self.lines[:-1], *last))
        return Replacement(text, constants=self.constants, attributes=self.attributes)


@dataclass(frozen=True)
class _Operand:
    """A value with the names and sizes of its axes."""

    value: str
    labels: Labels
    sizes: Sizes


def _shape(value: ir.Value) -> tuple[Dim, ...] | None:
    return None if value.shape is None else tuple(value.shape)


def _lower(match: Match) -> Replacement | str:
    """The right side, or why there is none."""
    shapes = [_shape(value) for value in _operands(match)]
    ranks = [len(shape) for shape in shapes if shape is not None]
    if len(ranks) < len(shapes):
        return "the rank of an operand is unknown"
    if len(shapes) > 2:
        return "it has more than two operands"
    equation = read_equation(str(match.attr("equation")), ranks)
    if isinstance(equation, str):
        return equation
    steps = _Steps()
    operands = [
        _Operand(name, labels, dict(zip(labels, shape or (), strict=True)))
        for name, labels, shape in zip(("a", "b"), equation.terms, shapes, strict=False)
    ]
    if any(size == 0 for operand in operands for size in operand.sizes.values()):
        return "an operand is empty"
    kept = [
        set(equation.output).union(*equation.terms[:i], *equation.terms[i + 1 :]) for i in range(len(shapes))
    ]
    operands = [_sum_alone(steps, *pair) for pair in zip(operands, kept, strict=True)]
    if len(operands) == 1:
        return steps.replacement(steps.transpose(operands[0].value, operands[0].labels, equation.output))
    a, b = operands
    summed = [label for label in a.labels if label in b.labels and label not in equation.output]
    if not summed:
        return steps.replacement(_product(steps, a, b, equation.output))
    if not all(same_dim(a.sizes[label], b.sizes[label]) for label in summed):
        return "an index that is summed may have size 1 in one operand only, and be broadcast"
    return _contract(steps, a, b, equation.output)


def _operands(match: Match) -> tuple[ir.Value, ...]:
    return tuple(match.value(name) for name in ("a", "b", "c") if name in match)


def _sum_alone(steps: _Steps, operand: _Operand, kept: set[str]) -> _Operand:
    """Sum over the indices that nothing else has."""
    axes = [axis for axis, label in enumerate(operand.labels) if label not in kept]
    labels = tuple(label for label in operand.labels if label in kept)
    return _Operand(steps.with_numbers("ReduceSum", operand.value, axes), labels, operand.sizes)


def _product(steps: _Steps, a: _Operand, b: _Operand, output: Labels) -> str:
    """Without a sum, multiplication with broadcasting, the axes of both in the order of the result."""
    sides = []
    for operand in (a, b):
        order = tuple(label for label in output if label in operand.labels)
        first = output.index(order[0]) if order else len(output)
        axes = [i - first for i in range(first, len(output)) if output[i] not in order]
        value = steps.transpose(operand.value, operand.labels, order)
        sides.append(steps.with_numbers("Unsqueeze", value, axes))
    return steps.add(f"Mul ({sides[0]}, {sides[1]})")


def _contract(steps: _Steps, a: _Operand, b: _Operand, output: Labels) -> Replacement | str:
    """The cheapest MatMul with what it needs around it."""
    sizes = {label: _broadcast(a.sizes.get(label, 1), b.sizes.get(label, 1)) for label in output}
    form = best_form((a.labels, b.labels), output, (a.sizes, b.sizes, sizes))
    if form is None:
        return "a dim would have to be inferred beside another that is not known"
    left, right = (b, a) if form.exchanged else (a, b)
    x, z = _arrange(steps, left, form.left), _arrange(steps, right, form.right)
    value = steps.add(f"MatMul ({x}, {z})")
    value = steps.with_numbers("Squeeze", value, form.dropped)
    if any(len(group) > 1 for group in form.groups):
        target = split_target(form.groups, sizes)
        assert target is not None, "a form is only offered when it can be written"
        value = steps.with_numbers("Reshape", value, target)
    return steps.replacement(steps.transpose(value, form.order, output))


def _broadcast(a: Dim, b: Dim) -> Dim:
    """The size of an axis both operands have, of sizes that broadcast."""
    if a == 1:
        return b
    return a if isinstance(a, int) or not isinstance(b, int) or b == 1 else b


def _arrange(steps: _Steps, operand: _Operand, side: Side) -> str:
    value = steps.transpose(operand.value, operand.labels, side.order)
    if len(side.groups) < len(side.order):
        target = reshape_target(side.order, side.groups, operand.sizes)
        assert target is not None, "a form is only offered when it can be written"
        value = steps.with_numbers("Reshape", value, target)
    if side.swap:
        axes = tuple(str(axis) for axis in range(len(side.groups)))
        value = steps.transpose(value, axes, (*axes[:-2], axes[-1], axes[-2]))
    return steps.with_numbers("Unsqueeze", value, side.missing)


def _is_known(match: Match) -> str | None:
    found = _lower(match)
    return found if isinstance(found, str) else None


def _replace(match: Match) -> Replacement:
    found = _lower(match)
    assert not isinstance(found, str), "the guard lets only known forms through"
    return found


_TWO = [
    "bct,bcs->bts",
    "bts,bcs->bct",
    "ij,jk->ik",
    "ij,kj->ki",
    "bhqd,bhkd->bhqk",
    "bthd,hde->bte",
    "bhwc,hkc->bhwk",
    "ab,cd->dacb",
    "...ij,...jk->...ik",
    "ck,bkhw->bchw",
    "bnd,bd->bn",
    "bn,bn->b",
    "i,i->",
    "ij,ij->",
    "bk,k->b",
    "k,kn->n",
    "abk,cdk->acbd",
    "bij,kj->k",
    "ai,bj->",
    "a,b->ab",
    "abc,cd",
    "bhwc,bhwd->bcd",
    "...a,...a->...",
]
_ONE = ["ij->ji", "ijk->k", "ij->", "ij", "...ij->...ji", "ba", "i->i", "bijk->kb"]


def _draw_one(draw: Draw) -> None:
    _draw_equation(draw, draw.choice(*_ONE))


def _draw_two(draw: Draw) -> None:
    _draw_equation(draw, draw.choice(*_TWO))


def _draw_equation(draw: Draw, equation: str) -> None:
    """Operands for an equation; the indices b and i are symbolic, the others have a number."""
    draw.attribute("equation", equation)
    for name, term in zip("abc", equation.partition("->")[0].split(","), strict=False):
        labels = term.replace("...", draw.choice("XY", "Y") if name == "a" else "Y")
        draw.input(name, *("N" if label in "bi" else draw.dim(label) + 1 for label in labels))


def _draw_diagonal(draw: Draw) -> None:
    _draw_equation(draw, "ii,ij->j")


def _draw_broadcast(draw: Draw) -> None:
    draw.attribute("equation", "ij,jk->ik")
    draw.input("a", 2, "J")
    draw.input("b", 1, 3)


_DTYPES = (ir.DataType.FLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT32, ir.DataType.INT64)

RULES = (
    Rule(
        "einsum-of-two",
        before="y = Einsum <equation = @equation> (a, b)",
        after=_replace,
        guard=_is_known,
        exact=False,
        dtypes=_DTYPES,
        draw=_draw_two,
        refusals=(Refusal(_draw_diagonal, "diagonal"), Refusal(_draw_broadcast, "size 1 in one operand")),
    ),
    Rule(
        "einsum-of-one",
        before="y = Einsum <equation = @equation> (a)",
        after=_replace,
        guard=_is_known,
        exact=False,
        dtypes=_DTYPES,
        draw=_draw_one,
        refusals=(Refusal(lambda draw: _draw_equation(draw, "ii->i"), "diagonal"),),
    ),
)


@dataclass(frozen=True)
class ReplaceEinsum(Pass):
    """Write an Einsum of one or two operands with the operators it stands for.

    Before: ``y = Einsum<equation="bct,bcs->bts">(a, b)``.
    After:  ``t = Transpose<perm=[0, 2, 1]>(a); y = MatMul(t, b)``.
    Needs:  the ranks of the operands, equal sizes of the indices that are summed.
    Keeps:  dynamic dims: a size is needed only where several axes become one.
    Skips:  diagonals, three or more operands, and sizes that would have to be inferred beside others.
    """

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules everywhere."""
        return apply(model, RULES, self.name(), ctx)
