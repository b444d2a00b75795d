"""The report in a terminal: what a person sees at the end of ``graphopt compile``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from graphopt.pipeline.records import RemarkKind
from graphopt.report import words
from graphopt.report.engine_section import engine_section
from graphopt.report.record import CompileReport
from graphopt.report.rows import equality_rows, operator_rows, own_names, pass_rows, remark_groups
from graphopt.report.tables import MOST_ROWS, add_row, some, table_of

_TONES = {
    "exact": "green", "rounding": "green", "semantic": "red", "faster": "green", "slower": "red",
    "same": "yellow", "optimised": "green", "input": "yellow",
}  # fmt: skip


def render(report: CompileReport, console: Console) -> None:
    """Print the report.

    Args:
        report: of one compile.
        console: where to; its width and colours are respected.
    """
    console.print(_title(report))
    sections = (
        ("Operators", _operators(report)),
        ("Passes", _passes(report)),
        ("Placement", _placement(report)),
        ("Engines", engine_section(report)),
        ("Equality", _equality(report)),
        ("Speed", _speed(report)),
        ("Memory and size", _memory(report)),
        ("Warnings", _warnings(report)),
    )
    for name, parts in sections:
        body = list(parts)
        if body:
            console.print(Text(f"\n{name}", style="bold"))
            for part in body:
                console.print(Padding(part, (0, 0, 0, 2), expand=False))
    console.print()
    console.print(_shipped(report))
    if report.next_command:
        console.print(Text.assemble(("Next: ", "dim"), (words.printable(report.next_command), "bold")))


def _title(report: CompileReport) -> Text:
    name = words.printable(PurePath(report.source.path).name or "model")
    target = report.target.get("isa") or report.target.get("kind") or ""
    facts = [f"opset {report.source.opset}", f"target {words.printable(target)}" if target else ""]
    seconds = sum(report.seconds.values())
    facts.append(f"compiled in {words.seconds(seconds)}" if seconds else "")
    return Text.assemble((name, "bold"), "  ", (", ".join(filter(None, facts)), "dim"))


def _operators(report: CompileReport) -> Iterator[RenderableType]:
    rows = operator_rows(report)
    if report.before is None or report.after is None:
        return
    table = table_of("operator", ">before", ">after", ">change")
    changed = [row for row in rows if row.before != row.after]
    for row in changed[:MOST_ROWS]:
        add_row(table, words.printable(row.name), *map(words.count, (row.before, row.after)), _step(row))
    rest = changed[MOST_ROWS:]
    if rest:
        before, after = sum(r.before for r in rest), sum(r.after for r in rest)
        add_row(
            table,
            f"{len(rest)} more",
            words.count(before),
            words.count(after),
            f"{after - before:+,d}",
            style="dim",
        )
    same = [row for row in rows if row.before == row.after]
    if same:
        total = sum(row.before for row in same)
        add_row(table, f"{len(same)} unchanged", words.count(total), words.count(total), "", style="dim")
    x, y = report.before, report.after
    table.add_section()
    totals = (
        ("nodes", x.nodes, y.nodes, words.count),
        ("weights", x.weight_bytes, y.weight_bytes, words.size),
        ("FLOPs", x.flops, y.flops, words.scaled),
        ("peak activations", x.peak_activation_bytes, y.peak_activation_bytes, words.size),
    )
    for name, before_total, after_total, word in totals:
        # A sum that leaves out half of the nodes compares nothing.
        vague = word is words.scaled and max(x.uncounted, y.uncounted) * 2 > y.nodes
        if before_total and after_total and not vague:
            change = words.change(before_total, after_total)
            add_row(table, name, word(before_total), word(after_total), change, style="bold")
    yield table
    if report.shapes:
        yield Text(f"for {words.printable(words.shapes(report.shapes))}", style="dim")
    if y.uncounted:
        yield Text(f"FLOPs leave out {y.uncounted} nodes whose shapes or formulas are unknown", style="dim")


def _step(row: Any) -> Text:
    return Text(f"{row.after - row.before:+,d}", style="green" if row.after < row.before else "yellow")


def _passes(report: CompileReport) -> Iterator[RenderableType]:
    rows = pass_rows(report)
    active = [row for row in rows if row.changed and not row.dropped]
    if active:
        table = table_of("pass", ">nodes", ">weights", ">time", "rewrites")
        for row in active:
            weights = ("+" if row.weight_bytes > 0 else "") + words.size(row.weight_bytes)
            add_row(
                table,
                words.printable(row.text),
                f"{row.nodes:+,d}" if row.nodes else "0",
                weights if row.weight_bytes else "0",
                words.seconds(row.seconds),
                words.printable(", ".join(f"{rule} x{n}" for rule, n in row.rewrites.items())),
            )
        yield table
    idle = sum(not row.changed and not row.dropped for row in rows)
    if idle:
        yield Text(f"{idle} {'passes' if idle > 1 else 'pass'} found nothing to do", style="dim")
    for row in rows:
        if row.dropped:
            text = words.printable(row.text)
            yield Text.assemble(("dropped ", "red"), (text, "bold"), f": {words.printable(row.dropped)}")


def _placement(report: CompileReport) -> Iterator[RenderableType]:
    if not report.placement:
        return
    timed = any(row.get("seconds") is not None for row in report.placement)
    reasoned = any(row.get("reason") for row in report.placement)
    shared = any("share" in row for row in report.placement)
    columns = ["backend", ">regions", ">nodes", ">FLOPs", *([">share"] if shared else [])]
    columns += [">time"] if timed else []
    table = table_of(*columns, *(["why"] if reasoned else []))
    for row in report.placement:
        cells = [
            words.printable(row.get("backend", "")),
            words.count(row.get("regions")),
            words.count(row.get("nodes")),
            words.scaled(row.get("flops")),
        ]
        shares = [words.share(row.get("share"))] if shared else []
        times = [words.seconds(row.get("seconds"))] if timed else []
        add_row(
            table, *cells, *shares, *times, *([words.printable(row.get("reason") or "")] if reasoned else [])
        )
    yield table
    for row in report.placement:
        for reason, nodes in (row.get("fell_back") or {}).items():
            yield Text(f"{some(own_names(row, nodes))} fell back: {words.printable(reason)}", style="yellow")


def _equality(report: CompileReport) -> Iterator[RenderableType]:
    if report.equality is None:
        yield Text("not checked", style="yellow")
        return
    verdict = str(report.equality.get("verdict", ""))
    sentence = words.printable(report.equality.get("sentence") or verdict)
    yield Text(sentence, style=_TONES.get(verdict, ""))
    table = table_of("output", "verdict", ">max |d|", ">rms d", ">of the floor", "remark")
    rows = equality_rows(report)
    for row in rows[:MOST_ROWS]:
        remark = row["reason"] or ("weak check: " + "; ".join(row["weak"]) if row["weak"] else "")
        add_row(
            table,
            words.printable(row["name"]),
            Text(str(row["verdict"]), style=_TONES.get(str(row["verdict"]), "")),
            words.small(row["max_abs"]),
            words.small(row["rms"]),
            words.small(row["ratio"]),
            words.printable(remark),
        )
    yield table
    if len(rows) > MOST_ROWS:
        yield Text(f"{len(rows) - MOST_ROWS} more outputs in the JSON and the page", style="dim")
    for note in report.equality.get("notes", ()):
        yield Text(words.printable(note), style="dim")
    for name in report.equality.get("not_checkable", ()):
        yield Text(
            f"{words.printable(name)} cannot be checked: it differs between two runs of the original",
            style="yellow",
        )


def _speed(report: CompileReport) -> Iterator[RenderableType]:
    ratio = report.measurement.ratio
    if not ratio:
        said = report.measurement.reason
        yield Text(words.printable(said if said.startswith("not measured") else "not measured"), style="dim")
        return
    yield Text(words.speed(ratio), style=_TONES[words.speed_verdict(ratio)])
    conditions = _conditions(report.measurement.conditions)
    if conditions:
        yield Text(conditions, style="dim")
    if report.measurement.ablation:
        table = table_of("without this pass", ">ratio", ">95 % interval", "")
        for row in report.measurement.ablation:
            kind = words.speed_verdict(row.ratio)
            add_row(
                table,
                words.printable(row.pass_text),
                Text(words.ratio(row.ratio["median"]), style=_TONES[kind]),
                f"{row.ratio['low']:.3g} to {row.ratio['high']:.3g}",
                "" if row.kept else Text("dropped", style="red"),
            )
        yield table
    for note in report.measurement.notes:
        yield Text(words.printable(note), style="yellow")


def _conditions(conditions: Mapping[str, Any]) -> str:
    """The conditions a time is meaningless without, on one line."""
    rounds, seconds, load = (conditions.get(k) for k in ("rounds", "seconds", "load_before"))
    parts = [
        words.printable(conditions.get("machine") or ""),
        f"{conditions['threads']} threads" if conditions.get("threads") else "",
        f"{rounds} rounds in {words.seconds(seconds)}" if rounds and seconds else "",
        f"load {load[0]:.1f}" if isinstance(load, list | tuple) and load else "",
    ]
    return ", ".join(filter(None, parts))


def _memory(report: CompileReport) -> Iterator[RenderableType]:
    for name, values in (("memory", report.memory), ("files", report.sizes)):
        if values:
            shown = sorted(values.items(), key=lambda item: -item[1])[:6]
            text = ", ".join(f"{words.printable(key)} {words.size(value)}" for key, value in shown)
            yield Text.assemble((f"{name}  ", "dim"), text)


def _warnings(report: CompileReport) -> Iterator[RenderableType]:
    groups = remark_groups(report, RemarkKind.WARNING)
    for group in groups[:MOST_ROWS]:
        where = f" ({some(group.nodes)})" if group.nodes else ""
        text = f"{group.pass_name}: {words.printable(group.reason)}{where}"
        yield Text(text, style="yellow")
    missed = sum(len(group.nodes) or 1 for group in remark_groups(report, RemarkKind.MISSED))
    if groups and missed:
        noun = "near misses are" if missed > 1 else "near miss is"
        yield Text(f"{missed} {noun} in the report", style="dim")


def _shipped(report: CompileReport) -> Text:
    shipped = report.measurement.shipped
    what = "Shipped the optimised model" if shipped == "optimised" else "Shipped the model as it came in"
    return Text.assemble((what, f"bold {_TONES[shipped]}"), f": {words.printable(report.measurement.reason)}")
