"""Precision: which nodes of an optimised model compute in float16 or bfloat16, and which must not.

The choice is made on the oracle's feeds: what comes near the largest float16 or vanishes below the
smallest stays in float32, and so do the most sensitive nodes until the outputs agree at that precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from graphopt.errors import EqualityError, FeedError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    from graphopt.driver.precision.ranges import Ranges
    from graphopt.equality.oracle import Oracle
    from graphopt.equality.verdict import EqualityReport
    from graphopt.pipeline.pass_base import Pass
    from graphopt.pipeline.records import Remark

    Feeds = Mapping[str, npt.NDArray[np.generic]]

Lower = Literal["fp16", "bf16"]
Judge = Callable[["ir.Model", "Oracle"], "EqualityReport"]
"""Judges a converted model with an oracle at the lower precision: of the graph itself, or of what a
backend makes of it."""

NAMES = {"fp16": "float16", "bf16": "bfloat16"}
"""The precisions of the command line, as passes spell them."""

_MANY = 0.1
"""The share of nodes out of range from which on the other precision is recommended."""

_SHOWN = 8
"""How many of the largest values a report lists."""


@dataclass(frozen=True)
class Lowered:
    """A model at a lower precision.

    Attributes:
        model: the converted copy; inputs and outputs keep their dtypes.
        steps: the passes that make ``model`` of the optimised one, all they keep spelled out: appended to
            the pipeline they repeat the choice.
        oracle: the original's outputs with the noise floor of the lower precision; judges everything
            that is made of ``model``, with emulating runners. None when equality is off.
        equality: the verdict on ``model``; None when equality is off.
        kept: node of the optimised model that stays in float32 → why.
        largest: float value → the largest finite |x| over the feeds, the largest few first.
        advice: what a person might rather ask for, or an empty text.
    """

    model: ir.Model
    steps: tuple[Pass, ...]
    oracle: Oracle | None
    equality: EqualityReport | None
    kept: Mapping[str, str] = field(default_factory=dict)
    largest: Mapping[str, float] = field(default_factory=dict)
    advice: str = ""

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """``kept`` and ``advice`` as remarks of the pass that converts."""
        from graphopt.pipeline.records import Remark, RemarkKind

        name = self.steps[-1].name()
        found = [
            Remark(name, RemarkKind.MISSED, node, f"it stays in float32: {why}")
            for node, why in self.kept.items()
        ]
        if self.advice:
            found.append(Remark(name, RemarkKind.WARNING, "", self.advice))
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """``kept``, ``largest`` and ``advice`` as plain JSON."""
        return {"kept": dict(self.kept), "largest": dict(self.largest), "advice": self.advice}


def lower_precision(
    optimized: ir.Model,
    precision: Lower,
    *,
    imported: ir.Model,
    oracle: Oracle | None,
    mode: str = "default",
    judge: Judge | None = None,
    feeds: Sequence[Feeds] = (),
    progress: Callable[[str], None] | None = None,
) -> Lowered:
    """Convert a copy of ``optimized``, keeping in float32 what must stay there.

    Args:
        optimized: the model as the passes left it, equal at its own precision; not changed.
        precision: ``fp16`` or ``bf16``.
        imported: the original, whose noise at the lower precision is the measure.
        oracle: the original's outputs on the feeds; None when equality is off.
        mode: ``default`` or ``relaxed``.
        judge: of a converted model; None runs the graph itself with every intermediate rounded
            (``runners.emulating_runner``). One that also legalises finds what a backend's spelling
            overflows.
        feeds: inputs to observe ranges on where there is no oracle; without any, some are derived, and
            where none can be the graph alone decides.
        progress: called with one line now and then.

    Raises:
        BackendError: the model cannot be run.
        EqualityError: with nothing in the lower precision the verdict is still semantic.
    """
    from graphopt.driver.precision.search import Trial, search

    say = progress or (lambda _: None)
    say(f"observe ranges for {precision}")
    trial = Trial(optimized, NAMES[precision])
    if oracle is not None:
        feeds = [feed.values for feed in oracle.feeds]
    ranges = _observe(trial, feeds or _derived_feeds(imported))
    kept = trial.rules(ranges)
    if oracle is None:
        return _lowered(trial, kept, None, None, ranges)
    low = _lower_oracle(oracle, imported, trial)
    found, report = search(trial, kept, lambda model: (judge or _judge(mode))(model, low), say)
    if not report.equal:
        raise EqualityError(
            f"in {precision} the model cannot be made equal: {report.sentence()}",
            "--precision fp32, or --equality relaxed",
        )
    return _lowered(trial, found, low, report, ranges)


def _judge(mode: str) -> Judge:
    from graphopt.driver.runners import emulating_runner

    return lambda model, oracle: oracle.judge(emulating_runner(model), mode)


def _observe(trial: Any, feeds: Sequence[Feeds]) -> Ranges | None:
    from graphopt.driver.precision.ranges import observe
    from graphopt.driver.runners import gauging_runner

    if not feeds:
        return None
    return observe(trial.flat, feeds, gauging_runner, trial.near_zero())


def _derived_feeds(imported: ir.Model) -> Sequence[Feeds]:
    from graphopt.driver.runners import oracle_runner
    from graphopt.equality.feeds import derive_feeds

    try:
        found = derive_feeds(imported, oracle_runner(imported).run, value_sets=1, seed=0)
    except FeedError:
        return ()
    return [feed.values for feed in found.feeds]


def _lower_oracle(oracle: Oracle, imported: ir.Model, trial: Any) -> Oracle:
    from graphopt.driver.runners import oracle_runner

    return oracle.at_precision(imported, oracle_runner, trial.dtype.numpy())


def _lowered(
    trial: Any,
    kept: Mapping[str, str],
    oracle: Oracle | None,
    report: EqualityReport | None,
    ranges: Ranges | None,
) -> Lowered:
    model, steps = trial.convert(kept)
    # Nodes of which nothing would change anyway need no reason.
    concerned = {*trial.lowered({}), *trial.left({})}
    named = {name: why for name, why in kept.items() if name in concerned} | trial.left(kept)
    peaks = {} if ranges is None else {value.name or "": peak for value, peak in ranges.peaks.items()}
    largest = dict(sorted(peaks.items(), key=lambda item: -item[1])[:_SHOWN])
    return Lowered(model, steps, oracle, report, named, largest, _advice(trial, concerned))


def _advice(trial: Any, concerned: set[str]) -> str:
    count = len(trial.overflowing & concerned)
    if count <= _MANY * len(concerned) or trial.dtype.name != "FLOAT16":
        return ""
    return (
        f"{count} of {len(concerned)} nodes leave the range of float16: --precision bf16 has that of float32"
    )
