"""From an optimised model to a candidate that is built and equal; on failure a backend or its pass is blamed.

The graph is not optimised again for that: whatever is given up here was done to regions of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphopt.driver.compilation.blame import first_bad
from graphopt.driver.compilation.portfolio import without_preferred
from graphopt.driver.compilation.presence import absence
from graphopt.errors import BackendError, PassError
from graphopt.placement.choose import WouldFallBack
from graphopt.report.record import Dropped

if TYPE_CHECKING:
    from graphopt.driver.compilation.candidate import Candidate, Workshop
    from graphopt.driver.opt import Optimized
    from graphopt.equality.oracle import Oracle
    from graphopt.equality.verdict import EqualityReport
    from graphopt.pipeline.manager import Step


NOT_RUN = "checked on the legalised graph; {what} not run: {reason}"


@dataclass(frozen=True)
class Settled:
    """A candidate that may be shipped as far as equality goes.

    Attributes:
        candidate: the candidate.
        steps: its pipeline.
        equality: the verdict, None when equality was switched off.
        dropped: the passes and backends taken out on the way.
    """

    candidate: Candidate
    steps: tuple[Step, ...]
    equality: EqualityReport | None
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """What was built and how it was judged, or why nothing was.

    Attributes:
        candidate: None when it could not be built.
        equality: None when it was not judged.
        problem: what was raised.
    """

    candidate: Candidate | None = None
    equality: EqualityReport | None = None
    problem: BackendError | PassError | None = None

    @property
    def good(self) -> bool:
        """Whether the candidate may be shipped."""
        return self.problem is None and (self.equality is None or self.equality.equal)

    @property
    def reason(self) -> str:
        """Why it may not, in one line."""
        if self.problem is not None:
            return self.problem.message
        return self.equality.sentence() if self.equality is not None else ""


def settle_built(
    workshop: Workshop, optimized: Optimized, oracle: Oracle | None, mode: str
) -> Settled | Attempt:
    """Build an optimised model and judge what the backends made of it.

    A pass of a backend that raises, or without which the result is right, is dropped. Where the passes are
    innocent the preferred backend is, and the next one gets the model.

    Args:
        workshop: builds candidates.
        optimized: right as a graph, as far as that was checked; its steps name the backends' passes to run.
        oracle: judges; None skips the check.
        mode: ``default`` or ``relaxed``.

    Returns:
        The candidate, or the failed attempt when no backend makes anything right of the graph.
    """
    from graphopt.pipeline.manager import flatten, keep_passes

    dropped: list[Dropped] = []
    steps = optimized.steps
    while not (attempt := build_and_judge(workshop, replace(optimized, steps=steps), oracle, mode)).good:
        culprit = _culprit(workshop, replace(optimized, steps=steps), oracle, mode, attempt)
        if culprit is None:
            return _on_the_next(workshop, optimized, oracle, mode, attempt)
        dropped.append(culprit)
        steps = keep_passes(steps, frozenset(p.name() for p in flatten(steps)) - {culprit.pass_text})
    assert attempt.candidate is not None
    return Settled(attempt.candidate, steps, attempt.equality, tuple(dropped))


def build_and_judge(workshop: Workshop, optimized: Optimized, oracle: Oracle | None, mode: str) -> Attempt:
    """One candidate as it is, nothing dropped."""
    candidate = None
    try:
        candidate = workshop.build(optimized)
        return Attempt(candidate, judge_candidate(workshop, candidate, oracle, mode))
    except (BackendError, PassError) as error:
        return Attempt(candidate, problem=error)


def _on_the_next(
    workshop: Workshop, optimized: Optimized, oracle: Oracle | None, mode: str, failure: Attempt
) -> Settled | Attempt:
    """The model without the preferred backend, which is to blame; the failure where none is left."""
    rest = None if workshop.strict else without_preferred(workshop)
    other = failure if rest is None else settle_built(rest, optimized, oracle, mode)
    if isinstance(other, Attempt):
        return failure
    lost = Dropped.backend(workshop.backends[0].name, failure.reason)
    return replace(other, dropped=(lost, *other.dropped))


def _culprit(
    workshop: Workshop, optimized: Optimized, oracle: Oracle | None, mode: str, failure: Attempt
) -> Dropped | None:
    """The backend's own pass to blame: the one that raised, or the first that makes the result wrong."""
    from graphopt.pipeline.manager import flatten, keep_passes

    suspects = _suspects(workshop, optimized, failure)
    if isinstance(failure.problem, PassError):
        guilty = failure.problem.pass_name
        return Dropped(guilty, failure.reason) if guilty in suspects else None
    if not suspects or isinstance(failure.problem, WouldFallBack):
        return None
    names = frozenset(p.name() for p in flatten(optimized.steps))
    tried = {len(suspects): failure}

    def bad(count: int) -> bool:
        if count not in tried:
            kept = keep_passes(optimized.steps, names - set(suspects[count:]))
            tried[count] = build_and_judge(workshop, replace(optimized, steps=kept), oracle, mode)
        return not tried[count].good

    count = first_bad(len(suspects), bad)
    return Dropped(suspects[count - 1], tried[count].reason) if count else None


def _suspects(workshop: Workshop, optimized: Optimized, failure: Attempt) -> list[str]:
    """The backends' own passes that may have done it: those that changed something, where that is known."""
    from graphopt.pipeline.manager import flatten

    present = {backend.name for backend in workshop.backends}
    own = list(dict.fromkeys(p.name() for p in flatten(optimized.steps) if p.backend in present))
    if failure.candidate is None:
        return own
    effects = (effect for region in failure.candidate.legalized for effect in region.effects)
    active = {effect.pass_text.partition("{")[0] for effect in effects if effect.modified}
    return [name for name in own if name in active]


def judge_candidate(
    workshop: Workshop, candidate: Candidate, oracle: Oracle | None, mode: str
) -> EqualityReport | None:
    """Whether what was built is equal; None without an oracle.

    Engines are judged by the legalised graphs they were built from, and themselves where they can run.

    Raises:
        BackendError: the candidate cannot be opened.
    """
    session = workshop.open(candidate)
    if oracle is None:
        return None
    report = oracle.judge(session, mode)
    if not workshop.builds_engines or not report.equal:
        return report
    reason = absence(workshop.target)
    if not reason:
        try:
            ran = oracle.judge(workshop.session(candidate), mode)
            return replace(
                ran, notes=(*ran.notes, "checked on the legalised graph and on the engines themselves")
            )
        except BackendError as error:
            reason = error.message
    engines = sum("architectures" in built.blob.options for built in candidate.regions)
    what = (
        ("the artifact itself was", "the engine itself was")[engines] if engines < 2 else "the engines were"
    )
    return replace(report, notes=(*report.notes, NOT_RUN.format(what=what, reason=reason)))
