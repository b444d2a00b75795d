"""The page in headless Chromium: quiet console, no requests, search, details, links, both schemes, narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graphopt.report.html import render
from tests.report.chromium import Chromium, find_chromium
from tests.report.sample import XSS, empty, full

EXECUTABLE = find_chromium()
pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium or Chrome on this machine")

TYPE = """(() => {{
  const box = document.getElementById("search"); box.value = {text!r}; box.dispatchEvent(new Event("input"));
  return [...document.querySelectorAll("#found button")].map(b => b.textContent);
}})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    assert EXECUTABLE is not None
    with Chromium(EXECUTABLE) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    made = {"full": full(), "hostile": full(XSS), "empty": empty()}
    for name, report in made.items():
        Path(folder, f"{name}.html").write_text(render(report), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in made}


@pytest.mark.parametrize("name", ["full", "hostile", "empty"])
@pytest.mark.parametrize("dark", [False, True])
def test_quiet_and_alone(browser: Chromium, pages: dict[str, str], name: str, dark: bool) -> None:
    browser.console.clear()
    browser.requests.clear()
    browser.open(pages[name], dark=dark)
    assert browser.console == []
    assert [url for url in browser.requests if not url.startswith(("file:", "about:"))] == []
    assert browser.evaluate("typeof window.pwned") == "undefined"
    assert browser.evaluate("document.querySelectorAll('section').length") == 9
    assert browser.evaluate("document.getElementById('trouble')?.hidden ?? true") is True


def test_light_and_dark_differ(browser: Chromium, pages: dict[str, str]) -> None:
    colours = []
    for dark in (False, True):
        browser.open(pages["full"], dark=dark)
        colours.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(set(colours)) == 2


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_the_page_never_scrolls_sideways(browser: Chromium, pages: dict[str, str], width: int) -> None:
    for name in ("full", "hostile"):
        browser.open(pages[name], width=width)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_both_graphs_are_drawn(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["full"])
    painted = browser.evaluate("""[...document.querySelectorAll("canvas.main")].map(c =>
      new Set(new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer)).size)""")
    assert len(painted) == 2
    assert min(painted) > 10
    captions = browser.evaluate("[...document.querySelectorAll('.caption')].map(e => e.textContent)")
    assert captions == ["Before 4 operators, 1 gone or changed", "After 3 operators"]


def test_search_finds_and_opens_a_node(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["full"])
    assert browser.evaluate(TYPE.format(text="matmul")) == ["MatMulnet matmulbefore", "MatMulnet matmulafter"]
    assert browser.evaluate(TYPE.format(text="nothing like it")) == []
    browser.evaluate(TYPE.format(text="matmul"))
    browser.evaluate("document.querySelectorAll('#found button')[1].click()")
    details = browser.evaluate("document.getElementById('node').innerText")
    for fact in (
        "MatMul",
        "net matmul",
        "128 FLOP",
        "w: float32[8,4]",
        "m: float32[N,4]",
        "Input x",
        "Add net add",
    ):
        assert fact in details, details
    browser.evaluate(
        "[...document.querySelectorAll('#node dd a')].find(a => a.textContent.includes('Add')).click()"
    )
    assert "b: float32[4]" in browser.evaluate("document.getElementById('node').innerText")


def test_a_click_on_the_canvas_opens_the_node_under_it(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["full"] + "#graph?view=after&node=after:1")
    assert "MatMul" in browser.evaluate("document.getElementById('node').innerText")
    browser.evaluate("document.querySelector('#node button').click()")
    assert browser.evaluate("document.getElementById('node').hidden") is True
    place = browser.evaluate("""(() => {
      const r = document.querySelector('[data-side=after] canvas.main').getBoundingClientRect();
      return [r.x + r.width / 2, r.y + r.height / 2]; })()""")
    for kind in ("mousePressed", "mouseReleased"):
        browser.call(
            "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
        )
    assert "MatMul" in browser.evaluate("document.getElementById('node').innerText")


def test_a_link_restores_search_and_view(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["full"] + "#graph?view=before&q=identity")
    assert browser.evaluate("document.getElementById('search').value") == "identity"
    assert browser.evaluate("document.querySelectorAll('#found button').length") == 1
    assert browser.evaluate("document.querySelector('[data-side=after]').hidden") is True


def test_hostile_details_stay_text(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["hostile"] + "#graph?node=after:1")
    assert "</script>" in browser.evaluate("document.getElementById('node').innerText")
    assert browser.evaluate("document.querySelectorAll('#node img, #node script').length") == 0
    assert browser.evaluate("typeof window.pwned") == "undefined"


def test_the_wheel_zooms_and_fit_shows_everything(browser: Chromium, pages: dict[str, str]) -> None:
    browser.open(pages["full"] + "#graph?view=after")
    pixels = """(() => { const c = document.querySelector('[data-side=after] canvas.main');
      return c.toDataURL().length + ':' + c.toDataURL().slice(-200); })()"""
    frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    before = browser.evaluate(pixels)
    browser.evaluate("""document.querySelector('[data-side=after] canvas.main').dispatchEvent(
      new WheelEvent('wheel', { deltaY: -120, offsetX: 100, offsetY: 100, cancelable: true }))""")
    browser.evaluate(frame)
    zoomed = browser.evaluate(pixels)
    browser.evaluate("document.querySelector('[data-side=after] [data-zoom=\"0\"]').click()")
    browser.evaluate(frame)
    assert len({before, zoomed, browser.evaluate(pixels)}) == 3
