"""Finds how much of a model may compute in a lower precision before its outputs stop agreeing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from graphopt.driver.precision.ranges import Ranges, flat_copy
from graphopt.driver.precision.rules import Keeper
from graphopt.passes.precision.clamp_masks import ClampMasks
from graphopt.passes.precision.convert_precision import ConvertPrecision
from graphopt.passes.precision.inline_model_functions import InlineModelFunctions
from graphopt.pipeline.context import PassContext

if TYPE_CHECKING:
    from graphopt.equality.verdict import EqualityReport
    from graphopt.pipeline.pass_base import Pass

    Verdict = Callable[[ir.Model], EqualityReport]

_PARTS = 8
"""Into how many stretches a model is cut to see which of them hurts."""

_ROUNDS = 3
"""How often a stretch that hurts is cut again."""

_SHARE = 0.5
"""How much of the allowed difference the stretches left in the lower precision may add up to."""


class Trial:
    """Conversions of one model that keep different nodes.

    Args:
        optimized: never changed.
        to: ``float16`` or ``bfloat16``.
    """

    def __init__(self, optimized: ir.Model, to: str) -> None:
        self._to = to
        self._prepared = optimized.clone()
        before = (InlineModelFunctions(), ClampMasks(to))
        self._first: tuple[Pass, ...] = tuple(p for p in before if p.run(self._prepared, PassContext()))
        self.flat = flat_copy(self._prepared)
        self._keeper = Keeper(self.flat, self.dtype)

    @property
    def dtype(self) -> ir.DataType:
        """The lower precision."""
        return ir.DataType[self._to.upper()]

    def near_zero(self) -> list[ir.Value]:
        """The values of ``flat`` whose smallest magnitude the rules ask for."""
        return self._keeper.near_zero()

    def rules(self, ranges: Ranges | None) -> dict[str, str]:
        """Node → why it must stay; without ranges, what the graph alone tells."""
        return self._keeper.apply(ranges or Ranges(self.flat, {}, {}))

    @property
    def overflowing(self) -> frozenset[str]:
        """The nodes whose values leave the range of the lower precision."""
        return frozenset(self._keeper.overflowing)

    def convert(self, kept: Mapping[str, str], *, eager: bool = False) -> tuple[ir.Model, tuple[Pass, ...]]:
        """A converted copy, and the passes that make it of the optimised model.

        With ``eager`` nothing is left in float32 for being cheap: to see what a part of the model does.
        """
        names = tuple(ConvertPrecision.spelled(name) for name in sorted(kept))
        step = ConvertPrecision(self._to, names, eager)
        model = self._prepared.clone()
        step.run(model, PassContext())
        return model, (*self._first, step)

    def left(self, kept: Mapping[str, str]) -> dict[str, str]:
        """Node → why it stays in float32 though it is not ``kept``: what the pass itself decides."""
        ctx = PassContext()
        names = tuple(ConvertPrecision.spelled(name) for name in sorted(kept))
        ConvertPrecision(self._to, names).chosen(self._prepared, ctx)
        return {remark.node: remark.reason for remark in ctx.remarks}

    def lowered(self, kept: Mapping[str, str]) -> list[str]:
        """The nodes that compute in the lower precision when ``kept`` are kept, in order."""
        step = ConvertPrecision(self._to, tuple(ConvertPrecision.spelled(name) for name in kept))
        chosen: list[str] = step.chosen(self._prepared)
        return chosen


def search(
    trial: Trial, kept: dict[str, str], verdict: Verdict, say: Callable[[str], None]
) -> tuple[dict[str, str], EqualityReport]:
    """Keep more nodes until the verdict is good.

    Each stretch of the model is converted alone; those whose difference is largest are cut into smaller
    stretches, and what still hurts then is kept. Differences of stretches add up like independent
    errors: by their squares.

    Args:
        trial: converts.
        kept: what stays in any case.
        verdict: of a converted model.
        say: called with one line now and then.

    Returns:
        What is kept, with reasons, and its verdict; semantic only when nothing is left to keep.
    """
    report = verdict(trial.convert(kept)[0])
    if report.equal:
        return kept, report
    everything = trial.lowered(kept)
    best: tuple[dict[str, str], EqualityReport] | None = None
    stretches = _cut(everything, _PARTS)
    for number in range(_ROUNDS):
        say(f"find what needs float32 (round {number + 1}, {len(stretches)} stretches)")
        hurts = [(_alone(trial, kept, everything, part, verdict), part) for part in stretches]
        worst = _over_budget(hurts, report.factor)
        chosen = kept | _reasons(trial, worst)
        attempt = verdict(trial.convert(chosen)[0])
        if not attempt.equal:
            break
        best = (chosen, attempt)
        if all(len(part) == 1 for _, part in worst):
            break
        stretches = [finer for _, part in worst for finer in _cut(part, max(2, _PARTS // len(worst)))]
    if best is not None:
        return best
    chosen = kept | dict.fromkeys(everything, "no part of the model alone explains the difference")
    return chosen, verdict(trial.convert(chosen)[0])


def _reasons(trial: Trial, worst: Sequence[tuple[float, Sequence[str]]]) -> dict[str, str]:
    name = trial.dtype.name.lower()
    return {
        node: f"with only {_these(part)} in {name} the outputs move by {_times(ratio)} the noise floor"
        for ratio, part in worst
        for node in part
    }


def _these(part: Sequence[str]) -> str:
    return "this node" if len(part) == 1 else f"the {len(part)} nodes from '{part[0]}' to '{part[-1]}'"


def _alone(
    trial: Trial, kept: Mapping[str, str], everything: Sequence[str], part: Sequence[str], verdict: Verdict
) -> float:
    """How many noise floors the outputs move when only ``part`` is converted."""
    others = dict.fromkeys(set(everything) - set(part), "")
    report = verdict(trial.convert({**kept, **others}, eager=True)[0])
    return report.ratio if report.equal else max(report.ratio, 2 * report.factor)


def _over_budget(
    hurts: Sequence[tuple[float, Sequence[str]]], factor: float
) -> list[tuple[float, Sequence[str]]]:
    """The worst stretches, as few as bring the rest within the budget; at least one."""
    ordered = sorted(hurts, key=lambda entry: -entry[0])
    for count in range(1, len(ordered)):
        rest = math.sqrt(sum(ratio**2 for ratio, _ in ordered[count:]))
        if rest <= _SHARE * factor:
            return ordered[:count]
    return ordered


def _cut(names: Sequence[str], parts: int) -> list[Sequence[str]]:
    size = max(1, math.ceil(len(names) / parts))
    return [names[start : start + size] for start in range(0, len(names), size)]


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if math.isfinite(ratio) else "any multiple of"
