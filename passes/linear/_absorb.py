"""Right sides in which a linear node takes ``factor · y + shift`` of its result into its constants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt.passes.linear._factors import Array, Vector, fits, rounded
from graphopt.passes.linear._hosts import Host, host_of, refusal
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Guard, RightSide

Affine = tuple[Vector | None, Vector | None]
"""Factor and shift, each None where there is none."""

ReadAffine = Callable[[Match, Host], Affine | str]
"""Reads what stands beside a linear node; a text says why it is not affine, an empty one silently."""


def read(match: Match, affine: ReadAffine) -> tuple[Host, Affine] | str | None:
    """The linear node of a match with the affine step beside it, or why there is none to absorb."""
    found = host_of(match)
    reason = refusal(found)
    if found is None or reason is not None:
        return reason
    step = affine(match, found)
    return step if isinstance(step, str) else (found, step)


def accepted(match: Match, affine: ReadAffine) -> tuple[Host, Affine]:
    """What ``read`` gives where the guard let the match through."""
    taken = read(match, affine)
    assert isinstance(taken, tuple), "the guard asked for it"
    return taken


def weight_miss(found: Host, scaled: Vector | None) -> str | None:
    """Why the weight times the factor cannot be stored; None where it can, or there is no factor."""
    if scaled is None or found.represents(scaled):
        return None
    return f"the weight {found.weight.name!r} times the factor leaves the range of its type"


def bias_miss(found: Host, bias: Vector | None) -> str | None:
    """Why the new bias cannot be stored; None where it can, or there is none."""
    return None if bias is None or fits(bias, found.dtype) else "the new bias leaves the range of its type"


def guard(affine: ReadAffine) -> Guard:
    """A guard: the affine step that ``affine`` reads can go into the constants of the linear node."""

    def check(match: Match) -> str | None:
        taken = read(match, affine)
        if not isinstance(taken, tuple):
            return taken
        found, step = taken
        scaled = None if step[0] is None else found.scaled(step[0])
        return weight_miss(found, scaled) or bias_miss(found, _bias(match, found, step))

    return check


def absorb(affine: ReadAffine) -> RightSide:
    """A right side: the linear node with the affine step in its constants."""

    def replace(match: Match) -> Replacement:
        found, step = accepted(match, affine)
        constants: dict[str, Array] = {}
        factor, _ = step
        if factor is not None:
            constants["w"] = rounded(found.scaled(factor), found.dtype)
        return spelled(found, _bias(match, found, step), constants)

    return replace


def spelled(found: Host, bias: Vector | None, constants: dict[str, Array]) -> Replacement:
    """``y`` as the linear node of ``x`` and ``w`` plus ``bias``, a number per output channel."""
    if bias is None:
        return Replacement(f"y = {found.op} <**attrs> (x, w)", constants)
    if found.op == "MatMul":
        constants["b"] = rounded(bias, found.dtype)
        return Replacement("m = MatMul (x, w); y = Add (m, b)", constants)
    whole = np.broadcast_to(bias / found.attributes.get("beta", 1.0), (found.outputs,))
    constants["b"] = rounded(whole, found.dtype)
    return Replacement(f"y = {found.op} <**attrs> (x, w, b)", constants)


def _bias(match: Match, found: Host, step: Affine) -> Vector | None:
    """The bias after the step, or None where neither the node nor the step adds anything."""
    factor, shift = step
    before = found.bias_vector() if found.op != "MatMul" else _added(match, found)
    if before is None or (shift is None and found.bias is None and not _has_addend(match)):
        return None
    with np.errstate(all="ignore"):
        scaled = before if factor is None else before * factor
        return scaled if shift is None else scaled + shift


def _has_addend(match: Match) -> bool:
    """Whether the rule matched an Add after a MatMul, its addend under the name b."""
    return "b" in match


def _added(match: Match, found: Host) -> Vector | None:
    return found.factor_of(match.value("b")) if _has_addend(match) else np.zeros(1)
