"""Equal by default: a candidate that is not equal loses the guilty pass, by name, until it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphopt.driver.compilation.blame import first_bad
from graphopt.driver.compilation.built import Attempt, Settled, settle_built
from graphopt.errors import BackendError, EqualityError, PassError
from graphopt.placement.choose import WouldFallBack
from graphopt.report.record import Dropped

if TYPE_CHECKING:
    from graphopt.driver.compilation.candidate import Workshop
    from graphopt.driver.opt import Optimized
    from graphopt.equality.oracle import Oracle
    from graphopt.pipeline.manager import Step


@dataclass(frozen=True)
class _Graph:
    """The optimised model, or why it is no good."""

    optimized: Optimized | None = None
    reason: str = ""
    problem: BackendError | PassError | None = None


def settle(
    workshop: Workshop,
    steps: tuple[Step, ...],
    oracle: Oracle | None,
    mode: str,
    *,
    graph_is_equal: bool = False,
) -> Settled:
    """Optimise, build and judge; on failure find the guilty pass, drop it and try again.

    The passes are judged first, by the graph they make as it stands, without a backend's own
    optimisations: a backend may undo a mistake (ONNX Runtime takes a cut √2 for GELU's and computes with
    the right one), and the graph must be right for whoever runs it next. What the backends make of a right
    graph is judged in ``settle_built``, which blames a backend or its passes. Only where every backend
    fails at a graph that is right, a pass that made it is to blame after all.

    Args:
        workshop: builds candidates.
        steps: the pipeline to begin with.
        oracle: judges; None skips the check.
        mode: ``default`` or ``relaxed``.
        graph_is_equal: the graph these steps make was judged already, before a backend touched it.

    Raises:
        EqualityError: the model is not equal to itself even with no pass at all.
        BackendError: it cannot be built even with no pass at all.
    """
    from graphopt.pipeline.manager import flatten, keep_passes

    dropped: list[Dropped] = []
    while True:
        judge = None if graph_is_equal and not dropped else oracle
        graph = _optimise(workshop, steps, judge, mode)
        if graph.optimized is None:
            culprit = _of_the_graph(workshop, steps, judge, mode, graph)
        else:
            built = settle_built(workshop, graph.optimized, oracle, mode)
            if isinstance(built, Settled):
                return replace(built, dropped=(*dropped, *built.dropped))
            culprit = _of_the_build(workshop, steps, oracle, mode, built)
        dropped.append(culprit)
        steps = keep_passes(steps, frozenset(p.name() for p in flatten(steps)) - {culprit.pass_text})


def _optimise(workshop: Workshop, steps: tuple[Step, ...], oracle: Oracle | None, mode: str) -> _Graph:
    try:
        optimized = workshop.optimise(steps)
        if oracle is None:
            return _Graph(optimized)
        report = oracle.judge(workshop.make_runner(optimized.model), mode)
        return _Graph(optimized) if report.equal else _Graph(reason=report.sentence())
    except (BackendError, PassError) as error:
        # A rewrite the backend does not take is as wrong as one that changes the answer.
        return _Graph(reason=error.message, problem=error)


def _of_the_graph(
    workshop: Workshop, steps: tuple[Step, ...], oracle: Oracle | None, mode: str, failure: _Graph
) -> Dropped:
    """The pass that raised, or the first with which the graph is wrong."""
    if isinstance(failure.problem, PassError):
        if failure.problem.pass_name not in _names(steps):
            raise failure.problem
        return Dropped(failure.problem.pass_name, failure.reason)
    tried: dict[int, _Graph] = {}

    def bad(kept: tuple[Step, ...], count: int) -> bool:
        tried[count] = _optimise(workshop, kept, oracle, mode)
        return tried[count].optimized is None

    name, count = _first_pass(steps, bad)
    found = tried.get(count, failure)
    if not name:
        raise found.problem or _unequal(found.reason)
    return Dropped(name, found.reason)


def _of_the_build(
    workshop: Workshop, steps: tuple[Step, ...], oracle: Oracle | None, mode: str, failure: Attempt
) -> Dropped:
    """The first pass with which no backend makes anything right of the graph."""
    tried: dict[int, Attempt] = {}

    def bad(kept: tuple[Step, ...], count: int) -> bool:
        graph = _optimise(workshop, kept, None, mode)
        if graph.optimized is None:
            tried[count] = Attempt(problem=graph.problem)
            return True
        built = settle_built(workshop, graph.optimized, oracle, mode)
        if isinstance(built, Settled):
            return False
        tried[count] = built
        return True

    name, count = _first_pass(steps, bad)
    found = tried.get(count, failure)
    if not name:
        # What a person forbade is said of the model as it would have been, not of the raw one.
        worst = failure if isinstance(failure.problem, WouldFallBack) else found
        raise worst.problem or _unequal(worst.reason)
    return Dropped(name, found.reason)


def _first_pass(steps: tuple[Step, ...], bad: Callable[[tuple[Step, ...], int], bool]) -> tuple[str, int]:
    """The first pass over the whole model that makes a failing pipeline fail, and how many lead up to it.

    The backends' own passes stay: who keeps what is decided where they run. An empty name says that the
    model fails with none.
    """
    from graphopt.pipeline.manager import flatten, keep_passes

    names = list(dict.fromkeys(p.name() for p in flatten(steps) if not p.backend))
    own = _names(steps) - set(names)
    known = {len(names): True}

    def is_bad(count: int) -> bool:
        if count not in known:
            known[count] = bad(keep_passes(steps, own | frozenset(names[:count])), count)
        return known[count]

    if not names:
        return "", 0
    count = first_bad(len(names), is_bad)
    return (names[count - 1] if count else ""), count


def _names(steps: tuple[Step, ...]) -> frozenset[str]:
    from graphopt.pipeline.manager import flatten

    return frozenset(p.name() for p in flatten(steps))


def _unequal(reason: str) -> EqualityError:
    return EqualityError(
        f"the backend alone, with no pass, already changes the answer: {reason}",
        "--equality relaxed allows 32 times the noise floor; `graphopt verify` shows each output",
    )
