"""The instruments a person can ask for on the command line, and what they print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from graphopt.cli.options import split_names
from graphopt.cli.output import note, table

if TYPE_CHECKING:
    from graphopt.pipeline.instrument import Instrument
    from graphopt.pipeline.records import Effect, Remark


def watchers(
    *,
    print_before_all: bool,
    print_after_all: bool,
    print_before: tuple[str, ...],
    print_after: tuple[str, ...],
    verify_each: bool,
) -> tuple[Instrument, ...]:
    """The instruments behind ``--print-…`` and ``--verify-each``; text goes to stderr."""
    from graphopt.pipeline.instruments import TextDump, VerifyEach

    found: list[Instrument] = [VerifyEach()] if verify_each else []
    before = None if print_before_all else frozenset(split_names(print_before))
    after = None if print_after_all else frozenset(split_names(print_after))
    if before != frozenset() or after != frozenset():
        found.append(TextDump(note, before=before, after=after))
    return tuple(found)


def note_remarks(remarks: Iterable[Remark]) -> None:
    """Print what passes said, one line each, on stderr."""
    for remark in remarks:
        parts = (remark.kind, remark.pass_name, remark.node, remark.reason)
        note(": ".join(str(part) for part in parts if part))


def time_table(effects: Sequence[Effect]) -> str:
    """What each pass cost, summed over its runs, the dearest first."""
    total = sum(effect.seconds for effect in effects) or 1.0
    seconds: dict[str, float] = {}
    runs: dict[str, int] = {}
    for effect in effects:
        seconds[effect.pass_text] = seconds.get(effect.pass_text, 0.0) + effect.seconds
        runs[effect.pass_text] = runs.get(effect.pass_text, 0) + 1
    rows = [
        (name, str(runs[name]), f"{spent * 1e3:.2f} ms", f"{100 * spent / total:.1f}%")
        for name, spent in sorted(seconds.items(), key=lambda item: -item[1])
    ]
    return table(
        ("pass", "runs", "time", "share"), [*rows, ("total", str(len(effects)), f"{total * 1e3:.2f} ms", "")]
    )


def effect_table(effects: Iterable[Effect]) -> str:
    """The passes that changed something: nodes and constant bytes before and after."""
    rows = [
        (
            effect.pass_text,
            str(effect.nodes_before),
            str(effect.nodes_after),
            f"{effect.weight_bytes_after - effect.weight_bytes_before:+,}",
            ", ".join(f"{rule} x{count}" for rule, count in effect.rewrites.items()),
        )
        for effect in effects
        if effect.modified
    ]
    return (
        table(("pass", "nodes", "after", "bytes", "rewrites"), rows) if rows else "no pass changed anything"
    )
