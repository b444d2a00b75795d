"""Reads the text of a rule.

The grammar is ONNX's text format for node lists, with or without a function header. Types of
attributes may be left out, and these marks are added::

    y = Div (x, 1.4142135)          a constant by value (also {1, -1}, int64 {1, -1})
    y = Softmax <axis = @a> (x)     an attribute bound to the name a, its default included
    y = Conv <**attrs> (x, w, b?)   every other attribute under one name; an optional input
    y = Concat <axis = @a> (*xs)    all remaining inputs
    s = Pow (d, 2.0) | Mul (d, d)   spellings of one step
    h = Cast <to = 1> (x) | x       a step that may be missing
    y, _ = Dropout (x)              an output that must be unused

Comments run from ``#`` to the end of the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import onnx_ir as ir

from graphopt.rewrite.syntax import Argument, AttrRef, AttrValue, Body, Call, Literal, Name, Statement

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<number>[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|inf\b|nan\b))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<mark>\*\*|=>|[=<>(){}\[\],|@?*:;])""",
    re.VERBOSE,
)
_T = TypeVar("_T")


class RuleSyntaxError(ValueError):
    """The text of a rule cannot be read; the message shows the line and what was expected."""


@lru_cache(maxsize=4096)
def parse(text: str) -> Body:
    """Read a rule's text.

    Raises:
        RuleSyntaxError: naming the line and what was expected there.
    """
    return _Parser(text).body()


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                raise RuleSyntaxError(f"{self._where(position)}: unexpected {text[position]!r}")
            if found.lastgroup != "space" and found.group() != ";":
                self.tokens.append((str(found.lastgroup), found.group(), position))
            position = found.end()
        self.at = 0

    def body(self) -> Body:
        declared = self._header()
        statements: list[Statement] = []
        while self.at < len(self.tokens) and self._peek() != "}":
            statements.append(self._statement())
        if declared is not None:
            self._expect("}")
        if self.at < len(self.tokens):
            raise self._error("the end of the text")
        if not statements:
            raise RuleSyntaxError("a rule's text needs at least one statement")
        return Body(tuple(statements), declared if declared is not None else _dangling(statements))

    def _header(self) -> tuple[str, ...] | None:
        """``[name [<attributes>]] (inputs) => (outputs) {``: the declared outputs, or None."""
        if not any(value == "=>" for _, value, _ in self.tokens):
            return None
        while self._peek() != "=>":
            self.at += 1
        self._expect("=>")
        names = [name.name for name in self._list("(", ")", self._name)]
        self._expect("{")
        return tuple(names)

    def _statement(self) -> Statement:
        outputs = [self._output()]
        while self._accept(","):
            outputs.append(self._output())
        self._expect("=")
        terms = [self._term(tuple(outputs))]
        while self._accept("|"):
            terms.append(self._term(tuple(outputs)))
        return Statement(tuple(outputs), tuple(terms))

    def _output(self) -> Name | None:
        if self._peek() in (",", "="):
            return None
        variadic = self._accept("*")
        name = self._take("name", "an output name")
        return None if name == "_" else Name(name, variadic=variadic)

    def _term(self, outputs: tuple[Name | None, ...]) -> Call | Name:
        identifier = self._take("name", "an operator or a name")
        if self._peek() not in ("(", "<"):
            if len(outputs) != 1 or outputs[0] is None:
                raise self._error(f"one output for the value {identifier!r} that is passed through")
            return Name(identifier)
        attributes, rest = self._attributes()
        inputs = self._list("(", ")", self._argument)
        if self._peek() == "<":
            attributes, rest = self._attributes()
        domain, _, op_type = identifier.rpartition(".")
        domain = "" if domain == "ai.onnx" else domain
        return Call(outputs, domain, op_type, attributes, rest, tuple(inputs))

    def _attributes(self) -> tuple[tuple[tuple[str, AttrValue], ...], str | None]:
        if self._peek() != "<":
            return (), None
        attributes: list[tuple[str, AttrValue]] = []
        rest: list[str] = []

        def attribute() -> None:
            if self._accept("**"):
                rest.append(self._take("name", "a name"))
                return
            name = self._take("name", "an attribute name")
            if self._accept(":"):
                self._take("name", "an attribute type")
            self._expect("=")
            attributes.append((name, self._attribute_value()))

        self._list("<", ">", attribute)
        if len(rest) > 1:
            raise self._error("only one '**'")
        return tuple(attributes), rest[0] if rest else None

    def _attribute_value(self) -> AttrValue:
        if self._accept("@"):
            return AttrRef(self._take("name", "a name after '@'"))
        if self._peek() == "[":
            items = self._list("[", "]", self._scalar)
            if all(isinstance(item, str) for item in items):
                return tuple(str(item) for item in items)
            if any(isinstance(item, float) for item in items):
                return tuple(float(item) for item in items)
            return tuple(int(item) for item in items)
        return self._scalar()

    def _scalar(self) -> int | float | str:
        kind, text = self._kind(), self._peek()
        self.at += 1
        if kind == "string":
            return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        if kind == "number":
            return _number(text)
        self.at -= 1
        raise self._error("a number or a string")

    def _argument(self) -> Argument:
        if self._peek() in (",", ")"):
            return None
        if self._accept('""'):
            return None
        if self._kind() == "number" or self._peek() == "{":
            return self._literal(None)
        if self._kind() == "name" and self._peek(1) == "{":
            return self._literal(self._dtype())
        return self._name()

    def _dtype(self) -> ir.DataType:
        name = self._take("name", "an element type")
        if name.upper() not in ir.DataType.__members__:
            raise self._error(f"an element type instead of {name!r}")
        return ir.DataType[name.upper()]

    def _literal(self, dtype: ir.DataType | None) -> Literal:
        if self._peek() == "{":
            values = self._list("{", "}", self._scalar)
            if any(isinstance(value, str) for value in values):
                raise self._error("numbers")
            return Literal(tuple(value for value in values if not isinstance(value, str)), False, dtype)
        return Literal((_number(self._take("number", "a number")),), True, dtype)

    def _name(self) -> Name:
        variadic = self._accept("*")
        name = self._take("name", "a value name")
        return Name(name, optional=self._accept("?"), variadic=variadic)

    def _list(self, opening: str, closing: str, item: Callable[[], _T]) -> list[_T]:
        self._expect(opening)
        items: list[_T] = []
        while self._peek() != closing:
            items.append(item())
            if not self._accept(","):
                break
            if self._peek() == closing:
                break
        self._expect(closing)
        return items

    def _peek(self, ahead: int = 0) -> str:
        index = self.at + ahead
        return self.tokens[index][1] if index < len(self.tokens) else ""

    def _kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def _accept(self, value: str) -> bool:
        if self._peek() != value:
            return False
        self.at += 1
        return True

    def _expect(self, value: str) -> None:
        if not self._accept(value):
            raise self._error(repr(value))

    def _take(self, kind: str, what: str) -> str:
        if self._kind() != kind:
            raise self._error(what)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def _error(self, expected: str) -> RuleSyntaxError:
        if self.at < len(self.tokens):
            _, value, position = self.tokens[self.at]
            return RuleSyntaxError(f"{self._where(position)}: expected {expected}, found {value!r}")
        return RuleSyntaxError(f"{self._where(len(self.text))}: expected {expected}, found the end")

    def _where(self, position: int) -> str:
        number = self.text.count("\n", 0, position) + 1
        line = self.text.splitlines()[number - 1].strip() if self.text else ""
        return f"line {number} ({line!r})"


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def _dangling(statements: list[Statement]) -> tuple[str, ...]:
    """Names that are produced and never consumed, in order."""
    consumed: set[str] = set()
    for statement in statements:
        for term in statement.terms:
            arguments = (term,) if isinstance(term, Name) else term.inputs
            consumed.update(arg.name for arg in arguments if isinstance(arg, Name))
    produced = [name.name for statement in statements for name in statement.outputs if name is not None]
    return tuple(dict.fromkeys(name for name in produced if name not in consumed))
