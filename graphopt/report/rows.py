"""The rows of the report's tables, the same for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphopt.pipeline.records import Effect, Remark, RemarkKind
from graphopt.report.record import CompileReport

Json = dict[str, Any]


@dataclass(frozen=True)
class OperatorRow:
    """How often an operator occurs before and after; ``share`` and ``share_after`` of the longest bar."""

    name: str
    before: int
    after: int
    share: float
    share_after: float


@dataclass(frozen=True)
class PassRow:
    """One pass, its runs added up.

    Attributes:
        text: the pass as the pipeline string spells it.
        runs: how often it ran, and ``changed`` how often it changed something.
        nodes: change of the node count, ``weight_bytes`` of the weights.
        seconds: spent in it.
        rewrites: rule → how often it fired.
        dropped: why it was taken out again, or empty.
    """

    text: str
    runs: int
    changed: int
    nodes: int
    weight_bytes: int
    seconds: float
    rewrites: Mapping[str, int]
    dropped: str


@dataclass(frozen=True)
class RemarkGroup:
    """Remarks of one pass, kind and reason, with the nodes they are about."""

    pass_name: str
    kind: RemarkKind
    reason: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class BytesRow:
    """A number of bytes beside the largest of its table."""

    name: str
    value: int
    share: float


def operator_rows(report: CompileReport) -> list[OperatorRow]:
    """Operators of both graphs, those whose number changed most first, then the most frequent."""
    before = report.before.operators if report.before else {}
    after = report.after.operators if report.after else {}
    longest = max([*before.values(), *after.values()], default=1) or 1

    def rank(name: str) -> tuple[int, int, str]:
        x, y = before.get(name, 0), after.get(name, 0)
        return -abs(x - y), -max(x, y), name

    names = sorted({*before, *after}, key=rank)
    return [
        OperatorRow(
            n, before.get(n, 0), after.get(n, 0), before.get(n, 0) / longest, after.get(n, 0) / longest
        )
        for n in names
    ]


def pass_rows(report: CompileReport) -> list[PassRow]:
    """Passes in the order they first ran, then dropped ones that left no effect."""
    groups: dict[str, list[Effect]] = {}
    for effect in report.effects:
        groups.setdefault(effect.pass_text, []).append(effect)
    dropped = {d.pass_text: d.reason for d in report.dropped}
    for text in dropped:
        groups.setdefault(text, [])
    return [_pass_row(text, effects, dropped.get(text, "")) for text, effects in groups.items()]


def _pass_row(text: str, effects: list[Effect], dropped: str) -> PassRow:
    rewrites: dict[str, int] = {}
    for effect in effects:
        for rule, fired in effect.rewrites.items():
            rewrites[rule] = rewrites.get(rule, 0) + fired
    return PassRow(
        text=text,
        runs=len(effects),
        changed=sum(e.modified for e in effects),
        nodes=sum(e.nodes_after - e.nodes_before for e in effects),
        weight_bytes=sum(e.weight_bytes_after - e.weight_bytes_before for e in effects),
        seconds=sum(e.seconds for e in effects),
        rewrites=rewrites,
        dropped=dropped,
    )


def remark_groups(report: CompileReport, *kinds: RemarkKind) -> list[RemarkGroup]:
    """Remarks with the same reason together, warnings first, then near misses, then what was applied."""
    groups: dict[tuple[str, RemarkKind, str], list[str]] = {}
    for remark in report.remarks:
        if not kinds or remark.kind in kinds:
            groups.setdefault((remark.pass_name, remark.kind, remark.reason), []).append(_node(remark))
    order = (RemarkKind.WARNING, RemarkKind.MISSED, RemarkKind.APPLIED)
    rows = [RemarkGroup(*key, tuple(n for n in nodes if n)) for key, nodes in groups.items()]
    return sorted(rows, key=lambda row: order.index(row.kind))


def _node(remark: Remark) -> str:
    return f"{remark.node} ({remark.rule})" if remark.rule and remark.node else remark.node


def own_names(row: Json, nodes: Sequence[str]) -> list[str]:
    """The person's own names of nodes that fell back, where the row knows them."""
    sources: Mapping[str, Sequence[str]] = row.get("sources") or {}
    return list(dict.fromkeys(name for node in nodes for name in sources.get(node) or (node,)))


def equality_rows(report: CompileReport) -> list[Json]:
    """Outputs of the equality report, every field the tables read present."""
    blank: Json = {
        "name": "", "verdict": "", "max_abs": 0.0, "rms": 0.0, "floor_max": 0.0, "floor_rms": 0.0,
        "ratio": 0.0, "mismatches": 0, "flip_rate": 0.0, "weak": (), "reason": "",
    }  # fmt: skip
    return [blank | dict(row) for row in (report.equality or {}).get("outputs", ())]


def memory_rows(values: Mapping[str, int]) -> list[BytesRow]:
    """Bytes by name with the share of the largest."""
    largest = max(values.values(), default=0) or 1
    return [BytesRow(name, value, value / largest) for name, value in values.items()]
