"""The oracle: what the original computes, how noisy that is, and whether a candidate agrees."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.equality.arrays import Array, flatten_outputs, same_bits
from graphopt.equality.feeds import DerivedFeeds, derive_feeds
from graphopt.equality.feeds_user import user_feeds
from graphopt.equality.feedset import FeedSet
from graphopt.equality.floor import OutputFloor
from graphopt.equality.jittered import JitteredModel, Run
from graphopt.equality.tolerance import MIN_JITTERS, QUANTISED_JITTERS, limits
from graphopt.equality.verdict import EqualityReport, OutputReport, Verdict, judge_output, worst
from graphopt.errors import GraphoptError, UsageError
from graphopt.pipeline.protocols import RunnerFactory

Inputs = str | PathLike[str] | Mapping[str, Array] | Sequence[Mapping[str, Array]]

_EXTRA_ROUNDS = 2

SLOW_SECONDS = 30.0
"""Models whose jittered runs would take longer visit only some feeds with each jitter."""


class Candidate(Protocol):
    """What is judged: a Runner, a Session, anything that computes the outputs from feeds."""

    def run(self, feeds: Mapping[str, Array], /) -> Mapping[str, object]:
        """Every output by name, in order; raises FeedError or BackendError."""


@dataclass(frozen=True)
class Oracle:
    """The original's outputs on every feed, and their noise floor.

    Attributes:
        feeds: what is run.
        outputs: the original's outputs, one mapping per feed; a sequence output is flattened to
            ``name[0]``, ``name[1]`` ….
        floors: output → its noise.
        not_checkable: outputs that differ between two runs of the original.
        jitters: jittered runs made, over all feeds.
        notes: what a person should know about the feeds.
    """

    feeds: tuple[FeedSet, ...]
    outputs: tuple[dict[str, Array], ...]
    floors: Mapping[str, OutputFloor]
    not_checkable: tuple[str, ...] = ()
    jitters: int = 0
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def prepare(
        cls,
        model: ir.Model,
        make_runner: RunnerFactory,
        *,
        inputs: Inputs | None = None,
        value_sets: int = 3,
        jitters: int = MIN_JITTERS,
        seed: int = 0,
    ) -> Self:
        """Run the original.

        Args:
            model: the original at the imported level; it is not changed.
            make_runner: makes runners without optimisations.
            inputs: the person's own feeds: an .npz file, a mapping, or several mappings; None
                derives feeds from the graph.
            value_sets: how many sets of values to derive (a second shape adds one).
            jitters: how many times the weights are moved, at least 5; more where activations are
                quantised.
            seed: of every random choice.

        Raises:
            FeedError: the person's feeds do not fit, or none could be derived.
            BackendError: the original cannot be run.
        """
        if jitters < MIN_JITTERS:
            raise UsageError(
                f"{jitters} jittered runs are too few for a noise floor", f"at least {MIN_JITTERS}"
            )
        original = JitteredModel(model, make_runner)
        found = _feeds(model, original.run, inputs, value_sets, seed)
        if not found.feeds:
            raise UsageError("no inputs to compare on")
        floors = _references(found, original.quantises)
        unsteady = _unsteady(original, found)
        rounds = max(jitters, QUANTISED_JITTERS) if original.quantises else jitters
        made = _jitter(original, found, floors, rounds, seed)
        return cls(
            found.feeds, found.outputs, floors, unsteady, made, found.notes
        )  # fmt: skip

    def at_precision(
        self,
        model: ir.Model,
        make_runner: RunnerFactory,
        precision: npt.DTypeLike,
        *,
        jitters: int = MIN_JITTERS,
        seed: int = 0,
    ) -> Oracle:
        """This oracle for candidates that compute in a lower precision.

        The outputs stay the original's; the floor is what one rounding error of ``precision`` in every
        weight and input does to them.

        Args:
            model: the original at the imported level.
            make_runner: makes runners without optimisations; they compute in the original's precision.
            precision: ``float16`` or ml_dtypes' ``bfloat16``.
            jitters: how many times the weights are moved.
            seed: of every random choice.

        Raises:
            BackendError: the original cannot be run.
        """
        original = JitteredModel(model, make_runner, precision)
        floors = {name: floor.at(np.dtype(precision)) for name, floor in self.floors.items()}
        found = DerivedFeeds(self.feeds, self.outputs, len(self.feeds))
        rounds = max(jitters, QUANTISED_JITTERS) if original.quantises else jitters
        made = _jitter(original, found, floors, rounds, seed)
        return replace(self, floors=floors, jitters=made)

    def judge(self, candidate: Candidate, mode: str = "default") -> EqualityReport:
        """Whether ``candidate`` computes what the original computes.

        A candidate that lacks an output or fails on a feed is judged semantic, not raised.

        Args:
            candidate: takes the original's inputs and returns its outputs, in order.
            mode: ``default`` or ``relaxed``.

        Raises:
            UsageError: an unknown mode.
        """
        allowed = limits(mode)

        def report(
            verdict: Verdict, outputs: tuple[OutputReport, ...] = (), reason: str = ""
        ) -> EqualityReport:
            return EqualityReport(
                verdict, mode, allowed.factor, outputs, self.not_checkable,
                {feed.label: feed.describe() for feed in self.feeds}, self.jitters, reason, self.notes,
            )  # fmt: skip

        results: list[dict[str, Array]] = []
        for feed, reference in zip(self.feeds, self.outputs, strict=True):
            try:
                result = flatten_outputs(candidate.run(feed.values))
            except GraphoptError as error:
                return report(Verdict.SEMANTIC, reason=f"it fails on feed '{feed.label}': {error.message}")
            if list(result) != list(reference):
                return report(Verdict.SEMANTIC, reason=_other_outputs(list(reference), list(result)))
            results.append(result)
        outputs = tuple(
            judge_output(name, floor, self._pairs(name, results), allowed)
            for name, floor in self.floors.items()
            if name not in self.not_checkable
        )
        return report(worst([output.verdict for output in outputs]), outputs)

    def _pairs(self, name: str, results: Sequence[dict[str, Array]]) -> list[tuple[int, Array, Array]]:
        return [
            (feed, reference[name], result[name])
            for feed, (reference, result) in enumerate(zip(self.outputs, results, strict=True))
            if name in reference
        ]


def _other_outputs(expected: list[str], found: list[str]) -> str:
    missing = [name for name in expected if name not in found]
    if missing:
        return f"it lacks output '{missing[0]}'"
    extra = [name for name in found if name not in expected]
    if extra:
        return f"it has an output '{extra[0]}' that the original lacks"
    return f"its outputs come in another order: {', '.join(found)}"


def _feeds(model: ir.Model, run: Run, inputs: Inputs | None, value_sets: int, seed: int) -> DerivedFeeds:
    if inputs is None:
        return derive_feeds(model, run, value_sets=value_sets, seed=seed)
    sets = user_feeds(model, inputs)
    return DerivedFeeds(sets, tuple(run(feed.values) for feed in sets), len(sets))


def _references(found: DerivedFeeds, quantised: bool) -> dict[str, OutputFloor]:
    floors: dict[str, OutputFloor] = {}
    for outputs in found.outputs:
        for name, y in outputs.items():
            floors.setdefault(name, OutputFloor(y.dtype, quantised)).reference(y)
    for name, why in found.uninformative.items():
        floors[name].remark(why)
    return floors


def _unsteady(original: JitteredModel, found: DerivedFeeds) -> tuple[str, ...]:
    """The outputs that differ between two runs of the original on the same feed.

    Every setting is asked: randomness may need a batch, or the other branch, to show.
    """
    unsteady: dict[str, None] = {}
    for index in (0, *range(found.primary, len(found.feeds))):
        again = original.run(found.feeds[index].values)
        for name, y in found.outputs[index].items():
            if name not in again or not same_bits(y, again[name]):
                unsteady[name] = None
    return tuple(unsteady)


def _jitter(
    original: JitteredModel, found: DerivedFeeds, floors: dict[str, OutputFloor], jitters: int, seed: int
) -> int:
    """Run the jittered original and gather the floors; returns how many runs were made."""
    rng = np.random.default_rng(seed)
    made, total, stride = 0, len(found.feeds), 1
    started = time.perf_counter()
    for round_ in range(jitters):
        run = original.jittered(rng)
        # A second shape or branch only adds to the pool: two of the jitters see it.
        count = total if round_ < _EXTRA_ROUNDS else found.primary
        for index in range(round_ % stride, count, stride):
            moved = _try(run, found.feeds[index].values)
            made += 1
            for name, y in found.outputs[index].items():
                if moved is None or name not in moved:
                    floors[name].shape_moves = True
                else:
                    floors[name].jittered(index, y, moved[name])
        if round_ == 0 and (time.perf_counter() - started) * (jitters - 1) > SLOW_SECONDS:
            stride = min(total, 2)
    return made


def _try(run: Run, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
    """One jittered run; None when the jitter made the original itself fail."""
    try:
        return run(feeds)
    except GraphoptError:
        return None
