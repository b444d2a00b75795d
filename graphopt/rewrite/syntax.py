"""What a rule's text says, as frozen data: names, literals, calls, bodies.

The text is ONNX's own text format for node lists (``parse`` reads it) with a few marks a pattern
needs; see ``graphopt.rewrite.parse`` for the grammar.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Name:
    """A value by name: a pattern variable when nothing in the text produces it.

    Attributes:
        name: the identifier.
        optional: ``b?`` — an ONNX optional input that may be missing.
        variadic: ``*xs`` — all remaining inputs or outputs, as a tuple.
    """

    name: str
    optional: bool = False
    variadic: bool = False

    def __str__(self) -> str:
        return f"{'*' if self.variadic else ''}{self.name}{'?' if self.optional else ''}"


@dataclass(frozen=True)
class Literal:
    """A constant by value: ``0.5``, ``{1, -1}`` or, with its element type, ``int64 {1, -1}``.

    Attributes:
        values: the elements.
        is_scalar: whether it has rank 0 (``0.5``) rather than rank 1 (``{0.5}``).
        dtype: the element type, or None to take it from the neighbours through the operator's schema.
    """

    values: tuple[float | int, ...]
    is_scalar: bool
    dtype: ir.DataType | None = None

    def __str__(self) -> str:
        body = ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in self.values)
        text = body if self.is_scalar else f"{{{body}}}"
        return text if self.dtype is None else f"{self.dtype.name.lower()} {text}"


@dataclass(frozen=True)
class AttrRef:
    """``@axis``: the attribute is bound to (in a pattern) or taken from (in a result) a name."""

    name: str


AttrValue = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | AttrRef
Argument = Name | Literal | None


@dataclass(frozen=True)
class Call:
    """One node: ``y, z = domain.Op <attributes> (inputs)``.

    Attributes:
        outputs: one Name each; None for an output that must be unused (``_``).
        domain: empty for the standard operators.
        op_type: name of the operator.
        attributes: in the order written.
        rest: ``**attrs`` — the name all attributes not written are bound to, or None when
            they must have their default.
        inputs: one Name or Literal each; None for an omitted optional input.
    """

    outputs: tuple[Name | None, ...]
    domain: str
    op_type: str
    attributes: tuple[tuple[str, AttrValue], ...]
    rest: str | None
    inputs: tuple[Argument, ...]

    @property
    def key(self) -> tuple[str, str]:
        """What an index of operators is keyed by: (domain, op_type)."""
        return (self.domain, self.op_type)

    @property
    def is_open(self) -> bool:
        """Whether the last input stands for any number of inputs."""
        last = self.inputs[-1] if self.inputs else None
        return isinstance(last, Name) and last.variadic


@dataclass(frozen=True)
class Statement:
    """``outputs = term | term | …``: the spellings of one step; a bare name passes a value through."""

    outputs: tuple[Name | None, ...]
    terms: tuple[Call | Name, ...]


@dataclass(frozen=True)
class Body:
    """A list of statements in topological order.

    Attributes:
        statements: the steps.
        outputs: the results in order: those a header declares, else every name that is produced
            and not consumed.
    """

    statements: tuple[Statement, ...]
    outputs: tuple[str, ...]
