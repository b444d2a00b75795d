"""Small plots as inline SVG: times of each engine with their spread, ratios with their intervals.

Colours come from the page's style sheet through classes, so that the plots follow light and dark.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape

from graphopt.report import words

_WIDTH = 860
_LEFT = 190
_RIGHT = 24
_ROW = 46
_AXIS = 30
_DOTS = 300


def times(samples: Mapping[str, Sequence[float]]) -> str:
    """One strip per engine: every time a dot, quartiles a box, the median a line with its value.

    Args:
        samples: engine → seconds per inference. The axis ends where the slowest engine's times
            thin out; how many lie beyond is said at the edge.
    """
    rows = {name: sorted(values) for name, values in samples.items() if values}
    if not rows:
        return ""
    low = min(values[0] for values in rows.values())
    high = max(_upper_fence(values) for values in rows.values())
    pad = (high - low or high or 1e-9) * 0.06
    axis = _Axis(low - pad, high + pad)
    parts = [axis.grid(len(rows), [words.seconds(t) for t in axis.ticks])]
    for index, (name, values) in enumerate(rows.items()):
        parts.append(_strip(axis, index, name, values))
    return _svg(len(rows), parts, "Time per inference of each engine")


def intervals(rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """One row per ratio: interval as a bar, median as a dot, 1 as a line, the noise as a band.

    Args:
        rows: label and ratio (``median``, ``low``, ``high``, ``noise``).
    """
    if not rows:
        return ""
    noise = max(ratio.get("noise") or 0.0 for _, ratio in rows)
    low = min(1 / (1 + noise), *(ratio["low"] for _, ratio in rows))
    high = max(1 + noise, *(ratio["high"] for _, ratio in rows))
    pad = max((high - low) * 0.1, 0.01)
    axis = _Axis(low - pad, high + pad)
    band_from, band_to = axis(1 / (1 + noise)), axis(1 + noise)
    height = len(rows) * _ROW
    parts = [
        f'<rect class="band" x="{band_from:.1f}" y="0" width="{band_to - band_from:.1f}" height="{height}"/>',
        axis.grid(len(rows), [f"{t:g}x" for t in axis.ticks]),
        f'<line class="one" x1="{axis(1):.1f}" x2="{axis(1):.1f}" y1="0" y2="{height}"/>',
    ]
    for index, (name, ratio) in enumerate(rows):
        y = index * _ROW + _ROW / 2
        kind = words.speed_verdict(ratio)
        parts.append(
            f"{_label(name, y, words.ratio(ratio['median']))}"
            f'<line class="interval {kind}" x1="{axis(ratio["low"]):.1f}" x2="{axis(ratio["high"]):.1f}" '
            f'y1="{y}" y2="{y}"/>'
            f'<circle class="median {kind}" cx="{axis(ratio["median"]):.1f}" cy="{y}" r="5"/>'
        )
    return _svg(len(rows), parts, "Ratios with their 95 % intervals")


class _Axis:
    """A linear horizontal axis from ``low`` to ``high``."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        step = _nice((high - low) / 6)
        first = math.ceil(low / step)
        self.ticks = [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)]

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return _LEFT + min(1.0, max(0.0, share)) * (_WIDTH - _LEFT - _RIGHT)

    def grid(self, rows: int, labels: Sequence[str]) -> str:
        bottom = rows * _ROW
        return "".join(
            f'<line class="grid" x1="{self(t):.1f}" x2="{self(t):.1f}" y1="0" y2="{bottom}"/>'
            f'<text class="tick" x="{self(t):.1f}" y="{bottom + 18}">{escape(label)}</text>'
            for t, label in zip(self.ticks, labels, strict=True)
        )


def _strip(axis: _Axis, index: int, name: str, values: list[float]) -> str:
    middle = index * _ROW + _ROW / 2
    median = statistics.median(values)
    q1, q3 = _quantile(values, 0.25), _quantile(values, 0.75)
    shown = values[:: max(1, len(values) // _DOTS)]
    # A fixed low-discrepancy sequence spreads the dots, so that the same report is the same page.
    dots = "".join(
        f'<circle class="dot" cx="{axis(v):.1f}" cy="{middle + 22 * ((i * 0.618034) % 1 - 0.5):.1f}" r="2"/>'
        for i, v in enumerate(shown)
        if v <= axis.high
    )
    beyond = sum(v > axis.high for v in values)
    edge = f'<text class="beyond" x="{_WIDTH - 2}" y="{middle + 4}">+{beyond}</text>' if beyond else ""
    return (
        f"{_label(name, middle, words.seconds(median))}{dots}"
        f'<rect class="box" x="{axis(q1):.1f}" y="{middle - 13}" '
        f'width="{max(1.0, axis(q3) - axis(q1)):.1f}" height="26" rx="3"/>'
        f'<line class="mid" x1="{axis(median):.1f}" x2="{axis(median):.1f}" '
        f'y1="{middle - 15}" y2="{middle + 15}"/>'
        f"{edge}"
    )


def _label(name: str, y: float, value: str) -> str:
    short = name if len(name) <= 24 else name[:23] + "…"
    return (
        f'<text class="name" x="0" y="{y - 2}"><title>{escape(name)}</title>{escape(short)}</text>'
        f'<text class="value" x="0" y="{y + 14}">{escape(value)}</text>'
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


def _upper_fence(ordered: Sequence[float]) -> float:
    """Four interquartile ranges above the third quartile, at most the 98th percentile."""
    q1, q3 = _quantile(ordered, 0.25), _quantile(ordered, 0.75)
    return max(min(q3 + 4 * (q3 - q1), _quantile(ordered, 0.98)), q3)


def _nice(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next((power * factor for factor in (1, 2, 5) if power * factor >= step), power * 10)


def _svg(rows: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {rows * _ROW + _AXIS}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
