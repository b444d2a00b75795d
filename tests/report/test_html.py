"""The page without a browser: parts, escaping, self-containment, size."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from graphopt.report.graph_view import graph_view
from graphopt.report.html import render
from graphopt.report.record import CompileReport
from tests.analyses.graphs import Recipe, Step, chain
from tests.report.sample import XSS, empty, full, infinite

SECTIONS = {
    "summary", "graph", "passes", "placement", "equality", "times", "memory", "remarks", "conditions",
}  # fmt: skip


class Page(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._in: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._in.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" not in self._in and "style" not in self._in:
            self.text += data

    def ids(self) -> set[str]:
        return {value for name, value in self.attributes if name == "id"}


def graphs(html: str) -> dict[str, dict[str, list[object]]]:
    text = re.search(r'<script type="application/json" id="graphs">(.*?)</script>', html, re.DOTALL)
    assert text is not None
    loaded: dict[str, dict[str, list[object]]] = json.loads(text[1])
    return loaded


@pytest.mark.parametrize("make", [full, empty, infinite])
def test_every_section_is_there_and_closed(make: object) -> None:
    page = Page(render(make()))  # type: ignore[operator]
    assert page.ids() >= SECTIONS
    for tag in ("section", "div", "table", "details", "dl"):
        assert page.tags.count(tag) == render(make()).count(f"</{tag}>"), tag  # type: ignore[operator]


def test_the_facts_are_on_the_page() -> None:
    text = Page(render(full())).text
    for fact in (
        "1.31x", "rounding", "shipped: optimised", "eliminate-identity", "break-things", "onnxruntime",
        "graphopt bench net.gopt", "no divisor in net", "not checkable", "weak check", "400 MB",
    ):  # fmt: skip
        assert fact in text, fact


def test_a_record_read_back_gives_the_same_page() -> None:
    report = full()
    assert render(CompileReport.from_json(json.loads(report.to_text()))) == render(report)


def test_hostile_names_stay_text() -> None:
    html = render(full(XSS))
    page = Page(html)
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert XSS in page.text
    assert any(XSS in str(node) or "pwned" in str(node) for node in graphs(html)["after"]["nodes"])


def test_nothing_comes_from_elsewhere() -> None:
    html = render(full())
    page = Page(html)
    assert not [n for n, _ in page.attributes if n in ("src", "srcset", "data", "action")]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert not re.search(r"https?://|@import|url\(", html)
    policy = next(value for _, value in page.attributes if "default-src" in value)
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'", policy)


def test_removed_and_new_nodes_are_marked() -> None:
    drawn = graphs(render(full()))
    marks = {side: [n["op"] for n in drawn[side]["nodes"] if n.get("mark")] for side in drawn}  # type: ignore[index,attr-defined]
    assert marks == {"before": ["Identity"], "after": []}


def test_two_thousand_nodes_stay_below_three_megabytes() -> None:
    steps = (Step("Add", (i, max(0, i - 40))) if i % 7 == 6 else Step("Relu", (i,)) for i in range(2100))
    view = graph_view(Recipe(1, (), tuple(steps), (2099,)).build("a/rather/long/scope/of/names/"))
    html = render(dataclasses.replace(full(), graphs={"before": view, "after": view}))
    assert len(graphs(html)["before"]["nodes"]) > 2100
    assert len(html.encode()) < 3_000_000


def test_huge_graphs_are_folded() -> None:
    view = graph_view(chain(20_000))
    drawn = graphs(render(dataclasses.replace(full(), graphs={"after": view})))["after"]
    assert drawn["folded"] == 20_003
    assert len(drawn["nodes"]) <= 3000
