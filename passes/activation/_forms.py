"""Activations as formulas: an argument, a function of it, and a polynomial of both.

``x·sigmoid(1.702x)`` has the argument 1.702x, the function t = sigmoid and the result x·t. A form is found
from its function: the argument is read backwards, the result forwards, whatever the order of the steps,
the operands and the constants. Everything between must serve the form alone, or there is nothing to gain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphopt.ops.op import DOMAIN
from graphopt.passes.activation._polynomials import (
    ARITHMETIC,
    Polynomial,
    Reader,
    T,
    X,
    added,
    scalar,
    scaled,
)
from graphopt.pipeline.context import PassContext
from graphopt.rewrite.attributes import effective
from graphopt.rewrite.dims import FLOATS
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rewriter import Rewriter, anchors
from graphopt.rewrite.rule import FunctionFactory

RAMP = "ramp"
"""The function that is 0 below 0, 1 above 1 and its argument between: what Clip and HardSigmoid compute."""

_MAX_STEPS = 8
"""Nodes between the function and the result."""

_ROUNDINGS = 4
"""Constants of one formula, each rounded once, that a coefficient may be the product of."""


@dataclass(frozen=True)
class Form:
    """One activation.

    Attributes:
        name: in kebab case, for remarks.
        function: an operator of one input, or ``RAMP``.
        argument: coefficients by the power of x; a name in place of a number is an attribute of the result.
        result: coefficients by the powers of x and of the function's value.
        after: the right side in ONNX text: y in terms of x.
        min_opset: the oldest version of the standard operators that has it.
        functions: the model-local functions ``after`` calls.
        scalable: whether a multiple of the result is the form, too, and a product.
        dtypes: the element types the right side is computed in; few runtimes have activations in float64.
    """

    name: str
    function: str
    argument: Mapping[int, float | str]
    result: Polynomial
    after: str
    min_opset: int
    functions: Sequence[FunctionFactory] = ()
    scalable: bool = True
    dtypes: frozenset[ir.DataType] = FLOATS - {ir.DataType.DOUBLE}


@dataclass(frozen=True)
class _Found:
    """A place where a form is computed.

    Attributes:
        match: binds x and y.
        factor: what the form's result is multiplied with to give y.
    """

    match: Match
    factor: float

    @property
    def gain(self) -> int:
        """Nodes saved."""
        return len(self.match.nodes) - (1 if self.factor == 1.0 else 2)

    def replacement(self, form: Form) -> Replacement:
        """The right side."""
        if self.factor == 1.0:
            return Replacement(form.after)
        dtype = self.match.value("y").dtype
        assert dtype is not None, "its type was asked for"
        text = f"{form.after.replace('y =', 'whole =')}; y = Mul (whole, factor)"
        return Replacement(text, constants={"factor": np.asarray(self.factor).astype(dtype.numpy())})


@dataclass(frozen=True)
class _Start:
    """The function's node: its argument is scale·input + offset, its output the polynomial ``outer`` of t."""

    node: ir.Node
    scale: float
    offset: float
    outer: Polynomial


def recognize(model: ir.Model, forms: Sequence[Form], pass_name: str, ctx: PassContext) -> bool:
    """Replace every place where one of ``forms`` is computed.

    Args:
        model: rewritten in place.
        forms: tried in this order.
        pass_name: who speaks in remarks.
        ctx: takes a remark for each rewrite and each near miss.

    Returns:
        Whether anything changed.
    """
    rewriter = Rewriter(model, pass_name, ctx)
    wanted = {op for form in forms for op in _operators(form)}
    for node in anchors(model, frozenset(wanted), DOMAIN):
        if node.graph is None:
            continue
        opset = rewriter.opset(node)
        misses: list[tuple[str, str]] = []
        for form in forms:
            if opset < form.min_opset or node.op_type not in _operators(form):
                continue
            found = _find(form, node, opset)
            if isinstance(found, _Found):
                right = found.replacement(form)
                rewriter.replace(found.match, ("y",), right, form.name, form.functions)
                misses.clear()
                break
            if found:
                misses.append((form.name, found))
        for name, reason in misses:
            ctx.missed(pass_name, node, reason, name)
    return rewriter.count > 0


def _operators(form: Form) -> tuple[str, ...]:
    return ("Clip", "HardSigmoid") if form.function == RAMP else (form.function,)


def _find(form: Form, node: ir.Node, opset: int) -> _Found | str:
    """Where ``form`` is computed with its function at ``node``, as much of it as can be read.

    Returns:
        Why not, where it is not; empty when nothing was near.
    """
    start = _start(form, node, opset)
    dtype = node.outputs[0].dtype
    if start is None or dtype is None or dtype not in form.dtypes:
        return ""
    reason = ""
    best: _Found | None = None
    for x, argument, read in _arguments(start):
        attributes = _bind(form, argument, dtype)
        if attributes is None:
            continue
        found = _result(form, start, x, dtype)
        if isinstance(found, str):
            reason = reason or found
            continue
        y, outside, factor = found
        nodes = tuple(dict.fromkeys([*read, node, *outside]))
        place = _Found(Match(nodes[-1], nodes, {"x": x, "y": y}, attributes, opset), factor)
        if place.gain <= (0 if best is None else best.gain):
            continue
        if any(_may_enlarge(each, x) for each in nodes):
            reason = "a constant of a higher rank may enlarge its operand"
            continue
        best = place
    return reason if best is None else best


def _start(form: Form, node: ir.Node, opset: int) -> _Start | None:
    """The function at ``node``, put so that a ramp runs from 0 to 1; None where it is none."""
    if form.function != RAMP:
        return _Start(node, 1.0, 0.0, T)
    if node.op_type == "HardSigmoid":
        alpha, beta = (effective(node, name, opset) for name in ("alpha", "beta"))
        if alpha is None or beta is None or alpha.is_ref() or beta.is_ref():
            return None
        return _Start(node, alpha.as_float(), beta.as_float(), T)
    low, high = (scalar(node.inputs[i]) if len(node.inputs) > i else None for i in (1, 2))
    if low != 0.0 or high is None or high <= 0.0:
        return None
    return _Start(node, 1.0 / high, 0.0, scaled(T, high))


def _arguments(start: _Start) -> Iterator[tuple[ir.Value, Mapping[int, float], list[ir.Node]]]:
    """What the argument may be a polynomial of, the nearest value first, with the nodes read to see it."""
    argument = start.node.inputs[0]
    if argument is None:
        return
    queue: list[ir.Value] = [argument]
    for x in queue:  # grows while it is walked
        reader = Reader({x: X})
        found = reader.read(argument)
        if found is not None and any(powers[0] for powers in found):
            whole = added(scaled(found, start.scale), {(0, 0): start.offset} if start.offset else {})
            yield x, {powers[0]: number for powers, number in whole.items()}, list(reversed(reader.nodes))
        node = x.producer()
        if node is None or node.domain != "" or node.op_type not in ARITHMETIC or len(queue) > _MAX_STEPS:
            continue
        queue += [v for v in node.inputs if v is not None and v not in queue and scalar(v) is None]


def _result(
    form: Form, start: _Start, x: ir.Value, dtype: ir.DataType
) -> tuple[ir.Value, list[ir.Node], float] | str:
    """The value that is the form's result, the nodes from the function to it, the last one last, its factor.

    The form's result itself is preferred to a multiple of it, a later multiple to an earlier one.
    """
    first = value = start.node.outputs[0]
    atoms = {x: X, value: start.outer}
    multiple: tuple[ir.Value, list[ir.Node], float] | None = None
    near = ""
    for _ in range(_MAX_STEPS):
        reader = Reader(atoms)
        found = reader.read(value)
        if found is None:
            break
        factor = _ratio(found, form.result, dtype)
        if factor == 1.0:
            return value, list(reversed(reader.nodes)), factor
        if factor is not None and form.scalable:
            multiple = value, list(reversed(reader.nodes)), factor
        if value is not first:
            near = f"{value.name!r} is {_show(found)}, not {_show(form.result)}"
        readers = list({use.node: None for use in value.uses()})
        if len(readers) != 1 or value.is_graph_output():
            near = near and f"{near}, and other nodes or the graph's outputs need it"
            break
        node = readers[0]
        if node.domain != "" or node.op_type not in ARITHMETIC or node.graph is not start.node.graph:
            break
        value = node.outputs[0]
    return near if multiple is None else multiple


def _bind(form: Form, argument: Mapping[int, float], dtype: ir.DataType) -> dict[str, object] | None:
    """The attributes the argument's coefficients stand for; None where it is another argument."""
    attributes: dict[str, object] = {}
    for power, wanted in form.argument.items():
        if isinstance(wanted, str):
            attributes[wanted] = argument.get(power, 0.0)
        elif not _close(argument.get(power, 0.0), wanted, dtype):
            return None
    return attributes if set(argument) <= set(form.argument) else None


def _ratio(found: Polynomial, wanted: Polynomial, dtype: ir.DataType) -> float | None:
    """The factor between two polynomials: 1 where they are the same up to rounding, None where none fits."""
    if set(found) != set(wanted):
        return None
    if all(_close(found[key], wanted[key], dtype) for key in wanted):
        return 1.0
    factor = sum(found[key] / wanted[key] for key in wanted) / len(wanted)
    return factor if all(_close(found[key], factor * wanted[key], dtype) for key in wanted) else None


def _close(found: float, wanted: float, dtype: ir.DataType) -> bool:
    """Whether a product of a few constants of ``dtype`` is ``wanted``, each having been rounded."""
    finfo: Callable[[object], Any] = ml_dtypes.finfo  # numpy's types and bfloat16
    return abs(found - wanted) <= _ROUNDINGS * float(finfo(dtype.numpy()).eps) * abs(wanted)


def _may_enlarge(node: ir.Node, x: ir.Value) -> bool:
    """Whether a constant of one element has so many axes that the result may have more than ``x``."""
    rank = 0 if x.shape is None else len(x.shape)
    ranks = [len(v.shape) for v in node.inputs if v is not None and scalar(v) is not None and v.shape]
    return any(found > rank for found in ranks)


def _show(polynomial: Polynomial) -> str:
    terms = [
        f"{number:.6g}"
        + "".join(
            f"·{name}{'' if power == 1 else f'^{power}'}"
            for name, power in zip("xt", powers, strict=True)
            if power
        )
        for powers, number in sorted(polynomial.items())
    ]
    return " + ".join(terms) or "0"
