"""Verdicts: what a comparison against the original means, per output and in all."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from graphopt.equality.arrays import Array, same_bits
from graphopt.equality.compare import comparable, mismatches, spread
from graphopt.equality.floor import OutputFloor
from graphopt.equality.tolerance import Limits


class Verdict(StrEnum):
    """How two models relate, from best to worst."""

    EXACT = "exact"
    ROUNDING = "rounding"
    SEMANTIC = "semantic"


_ORDER = (Verdict.EXACT, Verdict.ROUNDING, Verdict.SEMANTIC)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of several verdicts; exact when there are none."""
    return max(verdicts, key=_ORDER.index, default=Verdict.EXACT)


@dataclass(frozen=True)
class OutputReport:
    """The verdict on one output.

    Attributes:
        name: of the output.
        verdict: over every feed.
        max_abs: the largest |d| over feeds, d = candidate - original.
        rms: the largest rms of d over feeds.
        floor_max: F, the noise floor of ``max_abs``.
        floor_rms: R, the noise floor of ``rms``.
        ratio_max: max_abs / F.
        ratio_rms: rms / R.
        mismatches: elements that differ where equality is required (labels, NaN, infinities).
        flip_rate: the share of elements that the jittered original itself flips.
        weak: why a real difference might have passed; empty when the check is strong.
        reason: why it is semantic; empty otherwise.
    """

    name: str
    verdict: Verdict
    max_abs: float = 0.0
    rms: float = 0.0
    floor_max: float = 0.0
    floor_rms: float = 0.0
    ratio_max: float = 0.0
    ratio_rms: float = 0.0
    mismatches: int = 0
    flip_rate: float = 0.0
    weak: tuple[str, ...] = ()
    reason: str = ""

    @property
    def ratio(self) -> float:
        """The difference in units of the noise floor: the larger of the two ratios."""
        return max(self.ratio_max, self.ratio_rms)


@dataclass(frozen=True)
class EqualityReport:
    """Whether a candidate computes what the original computes.

    Attributes:
        verdict: the worst of the outputs'.
        mode: ``default`` or ``relaxed``.
        factor: floors allowed in that mode.
        outputs: one entry per output that could be checked, in the model's order.
        not_checkable: outputs that differ between two runs of the original.
        feeds: label → {input: "dtype[dims]"} of what was run.
        jitters: jittered runs behind the floor, over all feeds.
        reason: why it is semantic when that is no matter of one output.
        notes: what else a person should know.
    """

    verdict: Verdict
    mode: str
    factor: float
    outputs: tuple[OutputReport, ...] = ()
    not_checkable: tuple[str, ...] = ()
    feeds: dict[str, dict[str, str]] = field(default_factory=dict)
    jitters: int = 0
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether the candidate may be shipped: exact or rounding."""
        return self.verdict is not Verdict.SEMANTIC

    @property
    def ratio(self) -> float:
        """The largest difference of any output, in units of its noise floor."""
        return max((output.ratio for output in self.outputs), default=0.0)

    @property
    def weak(self) -> bool:
        """Whether some output's check is weak, or nothing could be checked."""
        return not self.outputs or any(output.weak for output in self.outputs)

    def sentence(self) -> str:
        """The verdict in one line, naming the culprit when there is one."""
        if self.reason:
            return f"{self.verdict}: {self.reason}"
        guilty = [output for output in self.outputs if output.verdict is Verdict.SEMANTIC]
        if guilty:
            worst_output = max(guilty, key=lambda o: o.ratio)
            return f"{self.verdict}: output '{worst_output.name}': {worst_output.reason}"
        if self.verdict is Verdict.EXACT:
            return "exact: every bit is the same"
        return f"{self.verdict}: at most {self.ratio:.2g}x the noise floor ({self.factor:g}x allowed)"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; an infinite ratio is written as null."""
        data = asdict(self)
        data["verdict"] = str(self.verdict)
        data["equal"] = self.equal
        data["weak"] = self.weak
        data["sentence"] = self.sentence()
        data["ratio"] = _finite(self.ratio)
        for entry, output in zip(data["outputs"], self.outputs, strict=True):
            entry["verdict"] = str(output.verdict)
            entry["ratio"] = _finite(output.ratio)
            for key in ("ratio_max", "ratio_rms", "max_abs", "rms"):
                entry[key] = _finite(entry[key])
        return data


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def judge_output(
    name: str, floor: OutputFloor, pairs: list[tuple[int, Array, Array]], limits: Limits
) -> OutputReport:
    """The verdict on one output.

    Args:
        name: of the output.
        floor: its noise.
        pairs: (feed number, original's array, candidate's array) of every feed.
        limits: of the mode.
    """
    for _, y, z in pairs:
        if problem := comparable(y, z):
            return OutputReport(name, Verdict.SEMANTIC, weak=floor.weaknesses(), reason=problem)
    if all(same_bits(y, z) for _, y, z in pairs):
        return OutputReport(
            name, Verdict.EXACT, floor_max=_floor_max(floor), floor_rms=_floor_rms(floor),
            flip_rate=floor.flip_rate, weak=floor.weaknesses(),
        )  # fmt: skip
    return (
        _judge_floats(name, floor, pairs, limits)
        if floor.is_float
        else _judge_labels(name, floor, pairs, limits)
    )


def _floor_max(floor: OutputFloor) -> float:
    return floor.F if floor.is_float else 0.0


def _floor_rms(floor: OutputFloor) -> float:
    return floor.R if floor.is_float else 0.0


def _judge_floats(
    name: str, floor: OutputFloor, pairs: list[tuple[int, Array, Array]], limits: Limits
) -> OutputReport:
    max_abs, rms, odd = 0.0, 0.0, 0
    for feed, y, z in pairs:
        difference = spread(y, z)
        max_abs, rms = max(max_abs, difference.max_abs), max(rms, difference.rms)
        if difference.moved is not None:
            excused = floor.flips.get(feed)
            odd += int(np.sum(difference.moved if excused is None else difference.moved & ~excused))
    ratio_max, ratio_rms = limits.ratio(max_abs, floor.F), limits.ratio(rms, floor.R)
    reason = ""
    if odd:
        reason = f"{odd} elements are NaN or infinite in one model only"
    elif max(ratio_max, ratio_rms) > limits.factor:
        which, value = ("max|d|", max_abs) if ratio_max >= ratio_rms else ("rms d", rms)
        reason = (
            f"{which} = {value:.3g} is {max(ratio_max, ratio_rms):.3g}x the noise floor "
            f"({limits.factor:g}x allowed)"
        )
    return OutputReport(
        name, Verdict.SEMANTIC if reason else Verdict.ROUNDING, max_abs, rms, floor.F, floor.R,
        ratio_max, ratio_rms, odd, floor.flip_rate, floor.weaknesses(), reason,
    )  # fmt: skip


def _judge_labels(
    name: str, floor: OutputFloor, pairs: list[tuple[int, Array, Array]], limits: Limits
) -> OutputReport:
    """Labels must match but where the jittered original flips them too, or flips as many elsewhere."""
    total, inexcusable = 0, 0
    for feed, y, z in pairs:
        wrong = mismatches(y, z)
        count = int(np.sum(wrong))
        total += count
        excused = floor.flips.get(feed)
        unexcused = count if excused is None else int(np.sum(wrong & ~excused))
        if unexcused and count > limits.factor * floor.flip_rate * wrong.size:
            inexcusable += unexcused
    reason = ""
    if inexcusable:
        reason = f"{inexcusable} elements differ, where the original flips {floor.flip_rate:.2%} by itself"
    return OutputReport(
        name, Verdict.SEMANTIC if reason else Verdict.ROUNDING,
        mismatches=total, flip_rate=floor.flip_rate, weak=floor.weaknesses(), reason=reason,
    )  # fmt: skip
