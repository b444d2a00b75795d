"""Numbers as a person reads them; the terminal and the page use the same words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def count(value: float | None) -> str:
    """``2,103``; a dash when unknown."""
    return "–" if value is None else f"{value:,.0f}"  # noqa: RUF001  a dash, as tables use


def scaled(value: float | None, unit: str = "") -> str:
    """Three significant digits with a decimal prefix: ``4.11 G``."""
    if value is None:
        return "–"  # noqa: RUF001
    if value == int(value) and abs(value) < 1000:
        return f"{value:.0f} {unit}".rstrip()
    power = min(max(int(math.log10(abs(value)) // 3), 0), 6)
    return f"{_digits(value / 1000**power)} {('', 'k', 'M', 'G', 'T', 'P', 'E')[power]}{unit}".rstrip()


def size(value: float | None) -> str:
    """Bytes in decimal units: ``45.2 MB``."""
    return scaled(value, "B")


def seconds(value: float | None) -> str:
    """A duration with the unit that gives it three digits: ``1.32 ms``."""
    if value is None:
        return "–"  # noqa: RUF001
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(value) >= factor:
            return f"{_digits(value / factor)} {unit}"
    return "0 s" if value == 0 else f"{_digits(value * 1e9)} ns"


def change(before: float, after: float) -> str:
    """``-12 %``, ``+3.4 %``, ``±0``; ``new`` when there was nothing before."""
    if before == after:
        return "±0"
    if before == 0:
        return "new"
    percent = 100 * (after - before) / before
    if abs(percent) < 0.05:
        return "±0"
    return f"{percent:+.0f} %" if abs(percent) >= 10 else f"{percent:+.1f} %"


def shapes(values: Mapping[str, Sequence[int]]) -> str:
    """Inputs with their dims as ``--shape`` takes them: ``x:1x3x224x224``."""
    return ", ".join(f"{name}:{'x'.join(map(str, dims))}" for name, dims in values.items())


def ratio(value: float | None) -> str:
    """``1.31x``; a dash when unknown."""
    return "–" if value is None else f"{value:.2f}x" if value < 10 else f"{value:.1f}x"  # noqa: RUF001


def share(value: float | None) -> str:
    """A part of the whole: ``98.3 %``; a dash when unknown."""
    return "–" if value is None else f"{100 * value:.4g} %"  # noqa: RUF001


def small(value: float | None) -> str:
    """A difference or a floor in three significant digits; ``inf`` where JSON could not say so."""
    return "inf" if value is None else f"{value:.3g}"


def _digits(value: float) -> str:
    """Three significant digits without an exponent."""
    magnitude = 0 if value == 0 else math.floor(math.log10(abs(value)))
    return f"{value:.{min(2, max(0, 2 - magnitude))}f}"


def speed(measured: Mapping[str, Any] | None) -> str:
    """A ratio with its interval: ``1.31x faster (95 % interval 1.29 to 1.33, noise ±2 %, n = 40)``."""
    if not measured:
        return "not measured"
    verdict = speed_verdict(measured)
    how = {"faster": " faster", "slower": " (slower)", "same": ", within the noise"}[verdict]
    return (
        f"{ratio(measured['median'])}{how} (95 % interval {measured['low']:.3g} to {measured['high']:.3g}, "
        f"noise ±{100 * measured.get('noise', 0):.1f} %, n = {measured.get('n', 0)})"
    )


def speed_verdict(measured: Mapping[str, Any]) -> str:
    """``faster``, ``slower`` or ``same``: as the measurement says, or by interval and noise."""
    known = measured.get("verdict")
    if known in ("faster", "slower", "same"):
        return str(known)
    noise = measured.get("noise", 0.0)
    if measured["low"] > 1 and measured["median"] > 1 + noise:
        return "faster"
    return "slower" if measured["high"] < 1 and measured["median"] < 1 / (1 + noise) else "same"


def printable(text: object) -> str:
    """Text of a model for a terminal: no control character reaches it, escape sequences least of all."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
