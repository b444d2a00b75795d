"""The report in a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from graphopt.report.record import CompileReport
from graphopt.report.terminal import render
from tests.report.sample import empty, full, infinite


def printed(report: CompileReport, width: int = 120) -> str:
    out = io.StringIO()
    render(report, Console(file=out, width=width, color_system=None))
    return out.getvalue()


def test_what_a_person_reads() -> None:
    text = printed(full())
    for fact in (
        "net.onnx  opset 20, target avx512",
        "Identity               1      0      -1",
        "dropped break-things: output net changes",
        "1.31x faster (95 % interval 1.29 to 1.33, noise ±1.4 %, n = 40)",
        "a machine, 2 threads, 40 rounds in 10.0 s, load 0.5",
        "rounding of net",
        "for net:2x8",
        "net fell back: no kernel for net",
        "Shipped the optimised model: net is faster than the input",
        "Next: graphopt bench net.gopt",
    ):
        assert fact in text, text


def test_nothing_to_report() -> None:
    text = printed(empty())
    assert "not checked" in text
    assert "not measured" in text
    assert "Shipped the model as it came in: nothing to gain" in text


def test_infinite_differences() -> None:
    assert "semantic" in printed(infinite())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, printed(full("n" * 90), width).splitlines())) <= width


def test_hostile_names_move_no_cursor_and_set_no_style() -> None:
    text = printed(full("a\x1b[2J[bold red]b[/]\rc\x9b1m"), 400)
    assert not {c for c in text if not c.isprintable()} - {"\n"}
    assert "[bold red]b[/]" in text
