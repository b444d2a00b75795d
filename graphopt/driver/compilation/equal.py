"""Equal by default: a candidate that is not equal loses the guilty pass, by name, until it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphopt.driver.compilation.presence import absence
from graphopt.errors import BackendError, EqualityError, PassError
from graphopt.placement.choose import WouldFallBack
from graphopt.report.record import Dropped

if TYPE_CHECKING:
    from graphopt.driver.compilation.candidate import Candidate, Workshop
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
        dropped: the passes taken out on the way.
    """

    candidate: Candidate
    steps: tuple[Step, ...]
    equality: EqualityReport | None
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True)
class _Attempt:
    """A candidate, or why there is none; ``guilty`` when the pass named itself.

    ``graph_is_equal`` where the optimised graph was found right: then a backend is to blame.
    """

    candidate: Candidate | None = None
    equality: EqualityReport | None = None
    problem: Exception | None = None
    guilty: str = ""
    graph_is_equal: bool = False

    @property
    def good(self) -> bool:
        return self.problem is None and (self.equality is None or self.equality.equal)

    @property
    def reason(self) -> str:
        if self.problem is not None:
            return getattr(self.problem, "message", str(self.problem))
        return self.equality.sentence() if self.equality is not None else ""


def settle(
    workshop: Workshop,
    steps: tuple[Step, ...],
    oracle: Oracle | None,
    mode: str,
    *,
    graph_is_equal: bool = False,
) -> Settled:
    """Build and judge; on failure find the guilty pass, drop it and try again.

    Args:
        workshop: builds candidates.
        steps: the pipeline to begin with.
        oracle: judges; None skips the check.
        mode: ``default`` or ``relaxed``.
        graph_is_equal: the graph these steps make was judged already, before a backend touched it.

    Where the passes are right and what the preferred backend made of them is not, the next backend gets
    the model.

    Raises:
        EqualityError: the model is not equal to itself even with no pass at all.
        BackendError: it cannot be built even with no pass at all.
    """
    from graphopt.driver.compilation.portfolio import without_preferred
    from graphopt.pipeline.manager import flatten, keep_passes

    dropped: list[Dropped] = []
    while True:
        attempt = _attempt(workshop, steps, oracle, mode, graph_is_equal and not dropped)
        if attempt.good:
            assert attempt.candidate is not None
            return Settled(attempt.candidate, steps, attempt.equality, tuple(dropped))
        rest = without_preferred(workshop) if attempt.graph_is_equal and not workshop.strict else None
        if rest is not None:
            other = _attempt(rest, steps, oracle, mode, graph_is_equal=True)
            if other.good:
                assert other.candidate is not None
                dropped.append(Dropped(f"backend {workshop.backends[0].name}", attempt.reason))
                return Settled(other.candidate, steps, other.equality, tuple(dropped))
        names = tuple(dict.fromkeys(p.name() for p in flatten(steps)))
        culprit = _culprit(workshop, steps, names, oracle, mode, attempt)
        dropped.append(culprit)
        steps = keep_passes(steps, frozenset(names) - {culprit.pass_text})


def _culprit(
    workshop: Workshop,
    steps: tuple[Step, ...],
    names: tuple[str, ...],
    oracle: Oracle | None,
    mode: str,
    failure: _Attempt,
) -> Dropped:
    """The pass to blame for a failed attempt: the one that raised, or the first that makes it fail."""
    from graphopt.pipeline.manager import keep_passes

    if failure.guilty:
        return Dropped(failure.guilty, failure.reason)
    tried = {len(names): failure}

    def bad(count: int) -> bool:
        if count not in tried:
            kept = keep_passes(steps, frozenset(names[:count]))
            tried[count] = _attempt(workshop, kept, oracle, mode)
        return not tried[count].good

    count = first_bad(len(names), bad)
    if count == 0:
        # What a person forbade is said of the model as it would have been, not of the raw one.
        raise _hopeless(failure if isinstance(failure.problem, WouldFallBack) else tried[0])
    return Dropped(names[count - 1], tried[count].reason)


def first_bad(length: int, bad: Callable[[int], bool]) -> int:
    """The shortest prefix that is bad, by bisection; ``bad(length)`` is known to hold.

    Takes prefixes to be good up to some length and bad from there on. Where that is not so the
    answer is still a prefix that is bad while the one before it is good (or 0).
    """
    if bad(0):
        return 0
    good, wrong = 0, length
    while wrong - good > 1:
        middle = (good + wrong) // 2
        if bad(middle):
            wrong = middle
        else:
            good = middle
    return wrong


def _attempt(
    workshop: Workshop,
    steps: tuple[Step, ...],
    oracle: Oracle | None,
    mode: str,
    graph_is_equal: bool = False,
) -> _Attempt:
    """Judge the passes first, then what the backend made of them.

    The optimised graph is judged as it stands, without the backend's own optimisations: a backend may
    undo a mistake (ONNX Runtime takes a cut √2 for GELU's and computes with the right one), and the
    graph must be right for whoever runs it next.
    """
    judged = graph_is_equal
    try:
        optimized = workshop.optimise(steps)
        if oracle is not None and not graph_is_equal:
            graph = oracle.judge(workshop.make_runner(optimized.model), mode)
            if not graph.equal:
                return _Attempt(equality=graph)
            judged = True
        candidate = workshop.build(optimized)
        return _Attempt(candidate, judge_candidate(workshop, candidate, oracle, mode), graph_is_equal=judged)
    except PassError as error:
        return _Attempt(problem=error, guilty=error.pass_name)
    except BackendError as error:
        # A rewrite the backend does not take is as wrong as one that changes the answer.
        return _Attempt(problem=error, graph_is_equal=judged)


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


def _hopeless(attempt: _Attempt) -> Exception:
    if attempt.problem is not None:
        return attempt.problem
    return EqualityError(
        f"the backend alone, with no pass, already changes the answer: {attempt.reason}",
        "--equality relaxed allows 32 times the noise floor; `graphopt verify` shows each output",
    )
