"""The same model on fewer backends: what a preferred backend must not be slower or less right than."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from graphopt.errors import BackendError, EqualityError

if TYPE_CHECKING:
    from graphopt.driver.compilation.candidate import Workshop
    from graphopt.driver.compilation.equal import Settled
    from graphopt.equality.oracle import Oracle


def used_backends(settled: Settled) -> tuple[str, ...]:
    """The backends that run a candidate's regions, most preferred first."""
    return tuple(row.backend for row in settled.candidate.placement.rows)


def without_preferred(workshop: Workshop) -> Workshop | None:
    """A workshop that does without the most preferred backend; None where the baseline is not left then.

    On a GPU there is none: what does not run in an engine is a refusal, not a choice.
    """
    from graphopt.runtime.session import FALLBACK_BACKEND

    rest = list(workshop.backends[1:])
    if workshop.builds_engines or FALLBACK_BACKEND not in [backend.name for backend in rest]:
        return None
    scratch = workshop.scratch / f"without-{workshop.backends[0].name}"
    scratch.mkdir(exist_ok=True)
    return replace(workshop, backends=rest, scratch=scratch, instruments=())


def fallback_alone(
    workshop: Workshop, settled: Settled, oracle: Oracle | None, mode: str
) -> tuple[str, Settled] | None:
    """The same passes without the preferred backend, where that makes a difference and is equal too.

    Returns:
        The name of the backend that then runs most, and the candidate.
    """
    from graphopt.driver.compilation.equal import settle

    preferred = workshop.backends[0].name
    rest = without_preferred(workshop)
    if rest is None or preferred not in used_backends(settled):
        return None
    try:
        other = settle(rest, settled.steps, oracle, mode, graph_is_equal=True)
    except (BackendError, EqualityError):
        return None  # the preferred backend runs what no other can
    names = used_backends(other)
    return (names[0] if names else rest.backends[0].name), other
