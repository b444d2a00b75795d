"""The second half of a compile with ``--precision``: the settled model is lowered and settled again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from graphopt.driver.compilation.built import Settled
from graphopt.driver.compilation.equal import settle
from graphopt.driver.legalize import steps_of
from graphopt.driver.precision.lower import NAMES, lower_precision
from graphopt.errors import UsageError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.driver.compilation.candidate import Workshop
    from graphopt.driver.compilation.options import CompileOptions
    from graphopt.driver.precision.lower import Judge, Lower, Lowered
    from graphopt.equality.oracle import Oracle
    from graphopt.equality.verdict import EqualityReport
    from graphopt.pipeline.manager import Step


@dataclass(frozen=True)
class Found:
    """A model settled at the precision asked for.

    Attributes:
        settled: what may be shipped.
        oracle: judges whatever else is made of the model; None when equality is off.
        record: for the report: which precision and what stays in float32; None for the model's own.
    """

    settled: Settled
    oracle: Oracle | None
    record: dict[str, Any] | None = None


def settle_at(
    workshop: Workshop, steps: tuple[Step, ...], oracle: Oracle | None, options: CompileOptions
) -> Found:
    """Settle a model, first at its own precision and then at the one asked for.

    Where the steps themselves convert, as those of an earlier compile do, their choice is judged as it is.

    Args:
        workshop: builds candidates; at a lower precision it emulates that from here on.
        steps: the pipeline to begin with.
        oracle: at the model's own precision; None skips the checks.
        options: of the compile.

    Raises:
        BackendError: the model cannot be run or built.
        EqualityError: it is not equal with no pass at all, or not with anything in the lower precision.
        UsageError: the model is in bfloat16 as it came.
    """
    from graphopt.driver.runners import emulating_runner, oracle_runner

    mode = options.equality
    if written := written_precision(steps):
        workshop.make_runner = emulating_runner
        if oracle is not None:
            oracle = oracle.at_precision(workshop.imported, oracle_runner, _dtype(written))
        done = settle(workshop, steps, oracle, mode)
        return Found(_noted(done, written), oracle, {"asked": written, "converted": converted(done)})
    if options.precision == "fp32":
        return Found(settle(workshop, steps, oracle, mode), oracle)
    if workshop.make_runner is emulating_runner:
        raise UsageError("the model computes in bfloat16 as it is", "compile without --precision")
    workshop.rehearsing = True
    settled = settle(workshop, steps, oracle, mode)
    workshop.make_runner = emulating_runner
    return _settle_lower(workshop, settled, oracle, options, options.precision)


def _settle_lower(
    workshop: Workshop, settled: Settled, oracle: Oracle | None, options: CompileOptions, precision: Lower
) -> Found:
    """Choose what stays in float32, build that and judge it.

    The choice is made on the graph; should what a backend makes of it not be equal, it is made again with
    that in view.
    """
    done: Found | None = None
    for judge in (None, _judge_legalised(workshop, settled, options.equality)):
        workshop.rehearsing = True
        lowered = lower_precision(
            settled.candidate.optimized.model,
            precision,
            imported=workshop.imported,
            oracle=oracle,
            mode=options.equality,
            judge=judge,
            feeds=_own_feeds(workshop, options),
            progress=options.progress,
        )
        workshop.rehearsing = False
        again = settle(
            workshop,
            with_passes(settled.steps, lowered),
            lowered.oracle,
            options.equality,
            graph_is_equal=judge is None,
        )
        if done is None or len(again.dropped) < len(done.settled.dropped):
            record = {"asked": precision, "converted": converted(again), **lowered.to_json()}
            done = Found(_noted(again, precision), lowered.oracle, record)
        if not again.dropped or oracle is None:
            break
    assert done is not None
    dropped = (*settled.dropped, *done.settled.dropped)
    return replace(done, settled=replace(done.settled, dropped=dropped))


def _own_feeds(workshop: Workshop, options: CompileOptions) -> list[Mapping[str, Any]]:
    """The person's own feeds: what is observed where there is no oracle."""
    from graphopt.equality.feeds_user import user_feeds

    if options.inputs is None:
        return []
    return [feed.values for feed in user_feeds(workshop.imported, options.inputs)]


def with_passes(steps: tuple[Step, ...], lowered: Lowered) -> tuple[Step, ...]:
    """The pipeline with the conversion as the last thing done to the whole model."""
    whole = steps_of(steps, "")
    return (*whole, *lowered.steps, *_of_backends(steps))


def written_precision(steps: tuple[Step, ...]) -> str:
    """What a pipeline itself converts to: ``fp16``, ``bf16``, or an empty text."""
    from graphopt.passes.precision.convert_precision import ConvertPrecision
    from graphopt.pipeline.manager import flatten

    by_name = {long: short for short, long in NAMES.items()}
    found = (by_name.get(p.to, "") for p in flatten(steps) if isinstance(p, ConvertPrecision))
    return next(found, "")


def converted(settled: Settled) -> int:
    """How many nodes were converted, those that only move values included."""
    from graphopt.passes.precision.convert_precision import ConvertPrecision

    name = ConvertPrecision.name()
    effects = (e for e in settled.candidate.effects if e.pass_text.partition("{")[0] == name)
    return sum(count for effect in effects for count in effect.rewrites.values())


def _of_backends(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    from graphopt.pipeline.manager import flatten, keep_passes

    return keep_passes(steps, frozenset(p.name() for p in flatten(steps) if p.backend))


def _judge_legalised(workshop: Workshop, settled: Settled, mode: str) -> Judge:
    """Judges a converted model by what the backends make of it, nothing built."""

    def judge(model: ir.Model, oracle: Oracle) -> EqualityReport:
        optimized = replace(settled.candidate.optimized, model=model, steps=settled.steps)
        return oracle.judge(workshop.open(workshop.build(optimized)), mode)

    return judge


def _noted(settled: Settled, precision: str) -> Settled:
    if settled.equality is None:
        return settled
    note = f"judged by what one rounding error of {NAMES[precision]} in every weight and input does"
    return replace(settled, equality=replace(settled.equality, notes=(*settled.equality.notes, note)))


def _dtype(precision: str) -> Any:
    import onnx_ir as ir

    return ir.DataType[NAMES[precision].upper()].numpy()
