"""The pipeline string: ``fold-constants,repeat(dead-code,merge-duplicates{…})`` parsed to steps.

Grammar::

    pipeline = step *("," step)
    step     = name ["{" option *((" " | ",") option) "}"] | "repeat" ["{limit=" int "}"] "(" pipeline ")"
    option   = name "=" value

A name is a pass or a group; a group stands for its passes and hands its options to each of them
that has such a field. ``pipeline_text`` prints steps back.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

from graphopt.errors import UsageError
from graphopt.pipeline.manager import DEFAULT_REPEAT_LIMIT, Repeat, Step
from graphopt.pipeline.pass_base import Pass

_TOKEN = re.compile(r"\s*([{}(),=]|[^\s{}(),=]+)")


def parse(
    text: str, passes: Mapping[str, type[Pass]], groups: Mapping[str, Sequence[type[Pass]]] | None = None
) -> tuple[Step, ...]:
    """Parse a pipeline string.

    Args:
        text: the string; empty means no passes.
        passes: pass classes by name.
        groups: group name to its passes, in running order.

    Raises:
        UsageError: on a syntax error, an unknown name (with the nearest one) or a bad option.
    """
    return _Parser(text, passes, groups or {}).pipeline()


class _Parser:
    def __init__(
        self, text: str, passes: Mapping[str, type[Pass]], groups: Mapping[str, Sequence[type[Pass]]]
    ) -> None:
        self._text, self._passes, self._groups = text, passes, groups
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def pipeline(self) -> tuple[Step, ...]:
        steps = self._steps()
        if self._at < len(self._tokens):
            raise self._error(f"did not expect {self._peek()!r}")
        return steps

    def _steps(self) -> tuple[Step, ...]:
        if self._peek() in ("", ")"):
            return ()
        steps = list(self._step())
        while self._peek() == ",":
            self._expect(",")
            steps.extend(self._step())
        return tuple(steps)

    def _step(self) -> Sequence[Step]:
        name = self._next()
        options = self._options() if self._peek() == "{" else {}
        if name == "repeat":
            return (self._repeat(options),)
        if name in self._passes:
            return (make_pass(self._passes[name], options),)
        if name in self._groups:
            return self._group(name, options)
        known = [*self._passes, *self._groups, "repeat"]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "`graphopt passes` lists them"
        raise UsageError(f"there is no pass {name!r}", hint)

    def _repeat(self, options: dict[str, str]) -> Repeat:
        if set(options) - {"limit"}:
            raise self._error("repeat takes only the option limit")
        self._expect("(")
        steps = self._steps()
        self._expect(")")
        limit = options.get("limit", str(DEFAULT_REPEAT_LIMIT))
        return Repeat(steps, _convert("repeat", "limit", limit, int))

    def _group(self, name: str, options: dict[str, str]) -> Sequence[Step]:
        members = self._groups[name]
        for option in options:
            if not any(option in _field_names(member) for member in members):
                raise UsageError(f"no pass of the group {name} has an option {option!r}")
        return [make_pass(m, {k: v for k, v in options.items() if k in _field_names(m)}) for m in members]

    def _options(self) -> dict[str, str]:
        self._expect("{")
        options: dict[str, str] = {}
        while self._peek() != "}":
            key = self._next()
            self._expect("=")
            options[key] = self._next()
            if self._peek() == ",":
                self._expect(",")
        self._expect("}")
        return options

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token or token in "{}(),=":
            raise self._error(f"expected a name, found {token or 'the end'!r}")
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._peek() != token:
            raise self._error(f"expected {token!r}, found {self._peek() or 'the end'!r}")
        self._at += 1

    def _error(self, why: str) -> UsageError:
        return UsageError(f"cannot read the pipeline {self._text!r}: {why}")


def make_pass(cls: type[Pass], options: Mapping[str, str]) -> Pass:
    """Build a pass from option texts, converted by the types of its fields."""
    known = _field_names(cls)
    values: dict[str, Any] = {}
    for key, text in options.items():
        if key not in known:
            have = ", ".join(known) or "none"
            raise UsageError(f"pass {cls.name()} has no option {key!r}", f"its options: {have}")
        values[known[key]] = _convert(cls.name(), key, text, _field_types(cls)[known[key]])
    return cls(**values)


@functools.cache
def _field_types(cls: type[Pass]) -> Mapping[str, Any]:
    return get_type_hints(cls)


@functools.cache
def _field_names(cls: type[Pass]) -> Mapping[str, str]:
    return {f.name.replace("_", "-"): f.name for f in fields(cls)}


def _convert(owner: str, key: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        return tuple(_convert(owner, key, part, get_args(kind)[0]) for part in text.split("+"))
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        raise UsageError(f"{owner}: {key}={text} is not a {kind.__name__}") from None
