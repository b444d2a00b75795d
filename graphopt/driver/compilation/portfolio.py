"""Doing without the most preferred backend: what is left when it is less right or slower than the next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt.driver.compilation.built import Settled
    from graphopt.driver.compilation.candidate import Workshop


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
