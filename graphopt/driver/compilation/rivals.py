"""What a settled candidate is raced against: the same model on fewer backends, or without one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from graphopt.driver.compilation.built import Settled, settle_built
from graphopt.driver.compilation.equal import settle
from graphopt.driver.compilation.portfolio import used_backends, without_preferred
from graphopt.driver.legalize import steps_of
from graphopt.errors import BackendError, EqualityError

if TYPE_CHECKING:
    from graphopt.driver.compilation.candidate import Workshop
    from graphopt.equality.oracle import Oracle
    from graphopt.pipeline.manager import Step


@dataclass(frozen=True)
class Rivals:
    """Candidates that are equal too, and why others are not among them.

    Attributes:
        settled: name → candidate.
        notes: one sentence for each that is missing, or is not quite what its name says.
    """

    settled: Mapping[str, Settled] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def fallback_alone(workshop: Workshop, settled: Settled, oracle: Oracle | None, mode: str) -> Rivals:
    """The graph of a candidate built without the preferred backend, where that makes a difference.

    The rival is called after the backend that then runs most.
    """
    preferred = workshop.backends[0].name
    rest = without_preferred(workshop)
    if rest is None or preferred not in used_backends(settled):
        return Rivals()
    other = settle_built(rest, settled.candidate.optimized, oracle, mode)
    if not isinstance(other, Settled):
        return Rivals(notes=(f"{rest.backends[0].name} alone was not raced: {other.reason}",))
    names = used_backends(other)
    name = f"{names[0] if names else rest.backends[0].name} alone"
    return Rivals({name: other}, tuple(_left_out(name, other)))


def without_each(
    workshop: Workshop, settled: Settled, oracle: Oracle | None, mode: str, most: int | None
) -> Rivals:
    """The candidate without each pass that changed something, those with the most effect first.

    Args:
        workshop: builds candidates.
        settled: the candidate.
        oracle: judges; None skips the check.
        mode: ``default`` or ``relaxed``.
        most: how many at most; None takes all.
    """
    from graphopt.pipeline.manager import flatten, keep_passes

    changes: dict[str, int] = {}
    for effect in settled.candidate.effects:
        if effect.modified:
            name = effect.pass_text.partition("{")[0]
            changes[name] = changes.get(name, 0) + 1 + abs(effect.nodes_before - effect.nodes_after)
    names = frozenset(p.name() for p in flatten(settled.steps))
    variants: dict[str, Settled] = {}
    notes: list[str] = []
    for name in sorted(changes, key=lambda n: -changes[n])[:most]:
        found = _settled(workshop, settled, keep_passes(settled.steps, names - {name}), oracle, mode)
        if isinstance(found, str):
            notes.append(f"without {name} it was not raced: {found}")
        elif found.dropped:
            notes += (f"without {name} it was not raced: {why}" for why in _reasons(found))
        else:
            variants[name] = found
    return Rivals(variants, tuple(notes))


def _settled(
    workshop: Workshop, settled: Settled, steps: tuple[Step, ...], oracle: Oracle | None, mode: str
) -> Settled | str:
    """A candidate of other steps, or why there is none; where only a backend's pass goes the graph stays."""
    if steps_of(steps, "") == steps_of(settled.steps, ""):
        optimized = replace(settled.candidate.optimized, steps=steps)
        found = settle_built(workshop, optimized, oracle, mode)
        return found if isinstance(found, Settled) else found.reason
    try:
        return settle(workshop, steps, oracle, mode)
    except (BackendError, EqualityError) as error:
        return error.message


def _left_out(name: str, settled: Settled) -> Iterator[str]:
    yield from (f"{name} was raced without {d.pass_text}: {d.reason}" for d in settled.dropped)


def _reasons(settled: Settled) -> Iterator[str]:
    yield from (f"{d.pass_text} has to go then, too ({d.reason})" for d in settled.dropped)
