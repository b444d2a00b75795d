"""Input shapes as people type them, in every spelling the peers taught: parsed against the model's inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.errors import UsageError

_NUMBER = re.compile(r"\d{1,18}")
_NAME = re.compile(r"[A-Za-z_]\w*")
_HINT = "write name:1x3x224x224, name:[1,3,224,224], or name:min/opt/max"

Dim = int | str | None


@dataclass(frozen=True)
class ShapeSpec:
    """The shape someone asked for, of one input.

    Attributes:
        dims: what each dim becomes: a number, a name for a dynamic dim, or None to leave it as it is.
        lowest: smallest size of each dim, or None when no range was given.
        usual: the size to optimise for, or None.
        highest: largest size, or None.
    """

    dims: tuple[Dim, ...]
    lowest: tuple[int, ...] | None = None
    usual: tuple[int, ...] | None = None
    highest: tuple[int, ...] | None = None


@dataclass(frozen=True)
class _Range:
    low: int
    opt: int
    high: int


def parse_shape_specs(texts: Iterable[str], model: ir.Model) -> dict[str, ShapeSpec]:
    """Parse shapes for the inputs of ``model``.

    Spellings, one or several per text, separated by commas, semicolons or spaces: ``x:[1,3,224,224]``,
    ``x:1x3x224x224``, ``x:1,3,224,224``, ``x[1,3,224,224]``, ``x=…``, and bare when the model has one
    input. A dim is a number, a name, ``?`` or ``-1`` (stays dynamic), ``1..8`` or ``1..4..8`` (a range);
    three shapes separated by ``/`` are smallest, usual and largest.

    Raises:
        UsageError: a text no spelling fits, an unknown input, a wrong rank, or a shape given twice.
    """
    inputs = {v.name: v for v in model.graph.inputs if v.name and not v.is_initializer()}
    specs: dict[str, ShapeSpec] = {}
    for text in texts:
        for name, body in _entries(text.strip(), list(inputs)):
            if name in specs:
                raise UsageError(f"the shape of input {name!r} is given twice", "give each input once")
            specs[name] = _spec(body, text)
            shape = inputs[name].shape
            if shape is not None and len(shape) != len(specs[name].dims):
                raise UsageError(f"input {name!r} is {shape}: {body!r} has another rank", _HINT)
    return specs


def _entries(text: str, names: list[str]) -> Iterable[tuple[str, str]]:
    """The (input, shape text) pairs in one text."""
    starts = _starts(text, names)
    if not starts or starts[0][0] != 0:
        if starts:
            raise UsageError(f"cannot read the shape {text!r} from its start", _HINT)
        unknown = re.match(r"([A-Za-z_].*?)\s*[:=\[]", text)
        if unknown is not None:
            raise UsageError(
                f"the model has no input {unknown[1]!r}", f"its inputs: {', '.join(names) or 'none'}"
            )
        if len(names) != 1:
            raise UsageError(
                f"{text!r} does not say which input it is for",
                f"the model's inputs: {', '.join(names) or 'none'}",
            )
        yield names[0], text
        return
    for index, (_, body_start, name) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(text)
        yield name, text[body_start:end].strip(" ,;")


def _starts(text: str, names: list[str]) -> list[tuple[int, int, str]]:
    """Where each entry starts, where its shape starts, and its input; longest names first."""
    found: list[tuple[int, int, str]] = []
    pos = 0
    by_length = sorted(names, key=len, reverse=True)
    while pos < len(text):
        for name in by_length:
            after = pos + len(name)
            if text.startswith(name, pos) and text[after : after + 1] in (":", "=", "["):
                found.append((pos, after + (text[after] != "["), name))
                pos = after
                break
        else:
            # The next entry can only start behind a separator.
            gap = re.compile(r"[\s,;]+").search(text, pos)
            if gap is None:
                break
            pos = gap.end()
    return found


def _spec(body: str, text: str) -> ShapeSpec:
    parts = [_shape(part, text) for part in body.split("/")]
    if len(parts) == 3:
        return _triple(parts, text)
    if len(parts) != 1:
        raise UsageError(f"{text!r} has {len(parts)} shapes", "give one, or smallest/usual/largest")
    dims = parts[0]
    if not any(isinstance(dim, _Range) for dim in dims):
        return ShapeSpec(tuple(dim for dim in dims if not isinstance(dim, _Range)))
    known = [dim for dim in dims if isinstance(dim, int | _Range)]
    ranges = [dim if isinstance(dim, _Range) else _Range(dim, dim, dim) for dim in known]
    fixed = tuple(None if isinstance(dim, _Range) else dim for dim in dims)
    if len(ranges) != len(dims):
        raise UsageError(f"{text!r} mixes ranges with dims that have none", "give every dynamic dim a range")
    return ShapeSpec(
        fixed, tuple(r.low for r in ranges), tuple(r.opt for r in ranges), tuple(r.high for r in ranges)
    )


def _triple(parts: list[list[Dim | _Range]], text: str) -> ShapeSpec:
    if len({len(part) for part in parts}) != 1:
        raise UsageError(f"the three shapes in {text!r} differ in rank", _HINT)
    low, opt, high = (tuple(dim for dim in part if isinstance(dim, int)) for part in parts)
    if any(len(shape) != len(parts[0]) for shape in (low, opt, high)):
        raise UsageError(f"smallest/usual/largest in {text!r} must be numbers", _HINT)
    if not all(a <= b <= c for a, b, c in zip(low, opt, high, strict=True)):
        raise UsageError(f"{text!r} is not in the order smallest/usual/largest", _HINT)
    dims = tuple(a if a == c else None for a, c in zip(low, high, strict=True))
    return ShapeSpec(dims, low, opt, high)


def _shape(text: str, whole: str) -> list[Dim | _Range]:
    inner = text.strip()
    if inner[:1] in ("[", "(") and inner[-1:] in ("]", ")"):
        inner = inner[1:-1].strip().rstrip(",")
        if not inner:
            return []  # a scalar
    if not inner:
        raise UsageError(f"{whole!r} gives no shape", _HINT)
    pieces = inner.split(",") if "," in inner else _split_by_x(inner)
    return [_dim(piece.strip(), whole) for piece in pieces]


def _split_by_x(text: str) -> list[str]:
    """``1x3x?``: an x between dims, not one inside a name."""
    return re.split(r"(?<=[\d?])\s*[x×*]\s*|\s+", text)  # noqa: RUF001 — people paste the sign


def _dim(text: str, whole: str) -> Dim | _Range:
    if text in ("?", "-1", ""):
        return None
    if _NUMBER.fullmatch(text):
        return int(text)
    bounds = text.split("..")
    if len(bounds) in (2, 3) and all(_NUMBER.fullmatch(b.strip()) for b in bounds):
        numbers = [int(b) for b in bounds]
        if numbers == sorted(numbers):
            return _Range(numbers[0], numbers[-2] if len(numbers) == 3 else numbers[-1], numbers[-1])
    if _NAME.fullmatch(text):
        return text
    raise UsageError(f"{text!r} in {whole!r} is not a dim", _HINT)
