"""Rule: what to look for, what to put there, and when not to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import onnx_ir as ir

from graphopt.rewrite.dims import FLOATS, Shapes, Types
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.match import Match
from graphopt.rewrite.parse import RuleSyntaxError, parse
from graphopt.rewrite.pattern import Pattern, spellings
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.syntax import AttrRef, Body, Call, Name

RightSide = Callable[[Match], "Replacement | str"]
Guard = Callable[[Match], str | None]
FunctionFactory = Callable[[int], ir.Function]


@dataclass(frozen=True)
class Refusal:
    """A case in which a rule must not fire.

    Attributes:
        draw: draws the case, as ``Rule.draw`` does.
        because: a part of the reason the rule gives; empty when it stays silent.
    """

    draw: Callable[[Draw], object]
    because: str = ""


@dataclass(frozen=True)
class Rule:
    """Wherever ``before`` holds, ``after`` computes the same.

    Args:
        name: in kebab case, unique inside its pass.
        before: the left side as ONNX text (``graphopt.rewrite.parse`` has the grammar). Free names
            are variables; attributes not written must have their default.
        after: the right side as ONNX text over the same names, or a pure function of the match where
            it has to compute constants or attributes.
        guard: says in one sentence why the rule must not fire here, or None when it may; an empty
            string refuses without a remark, for anchors where a refusal is the normal case.
        shapes: dims by variable, unified by name (``graphopt.rewrite.dims``).
        types: element types by variable, unified by name.
        shared: inner values that may be used elsewhere too: their nodes stay for those uses. Any
            other inner value with another use is a refusal.
        functions: make, for a version of the standard operators, the model-local functions ``after``
            calls; added to the model where they are missing.
        min_opset: the oldest version of the standard operators both texts are right for.
        exact: whether both sides agree bit for bit; else they agree up to rounding.
        dtypes: the element types the rule is proven for.
        draw: draws inputs, constants and attributes that satisfy the rule, for its proof.
        refusals: cases in which the rule must not fire.

    Raises:
        RuleSyntaxError: a text cannot be read, or ``after`` does not define what ``before`` yields.
    """

    name: str
    before: str
    after: str | RightSide
    guard: Guard | None = None
    shapes: Shapes = field(default_factory=dict)
    types: Types = field(default_factory=dict)
    shared: tuple[str, ...] = ()
    functions: Sequence[FunctionFactory] = ()
    min_opset: int = 13
    exact: bool = True
    dtypes: tuple[ir.DataType, ...] = tuple(sorted(FLOATS - {ir.DataType.BFLOAT16}))
    draw: Callable[[Draw], object] | None = None
    refusals: tuple[Refusal, ...] = ()

    def __post_init__(self) -> None:
        try:
            self._check()
        except RuleSyntaxError as error:
            raise RuleSyntaxError(f"rule {self.name!r}: {error}") from None

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """Every spelling of the left side."""
        return spellings(parse(self.before))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the results."""
        return self.patterns[0].outputs

    def replacement(self, match: Match) -> Replacement:
        """The right side for ``match``."""
        found = self.after if isinstance(self.after, str) else self.after(match)
        return Replacement(found) if isinstance(found, str) else found

    def _check(self) -> None:
        inner = {name for pattern in self.patterns for name in pattern.interior}
        unknown = [name for name in self.shared if name not in inner]
        if unknown:
            raise RuleSyntaxError(f"shared value {unknown[0]!r} is no inner value of the left side")
        if isinstance(self.after, str):
            self._check_after(parse(self.after))

    def _check_after(self, after: Body) -> None:
        produced = {n.name for s in after.statements for n in s.outputs if n is not None}
        missing = [name for name in self.outputs if name not in produced]
        if missing:
            raise RuleSyntaxError(f"the right side does not define {missing[0]!r}")
        free, attributes = _free_names(after)
        for pattern in self.patterns:
            known = {variable.name for variable in pattern.variables} | set(pattern.interior)
            unbound = sorted(name for name in free - known if name not in produced)
            unbound += sorted(attributes - pattern.attribute_names)
            if unbound:
                raise RuleSyntaxError(f"the right side uses {unbound[0]!r}, which a left side does not bind")


def _free_names(body: Body) -> tuple[set[str], set[str]]:
    """Required values and attributes a right side refers to."""
    values: set[str] = set()
    attributes: set[str] = set()
    for statement in body.statements:
        if len(statement.terms) != 1:
            raise RuleSyntaxError("a right side has one spelling")
        term = statement.terms[0]
        if isinstance(term, Name):
            values.add(term.name)
            continue
        values.update(a.name for a in term.inputs if isinstance(a, Name) and not a.optional)
        attributes.update(_attributes(term))
    return values, attributes


def _attributes(call: Call) -> set[str]:
    names = {value.name for _, value in call.attributes if isinstance(value, AttrRef)}
    return names | ({call.rest} if call.rest is not None else set())


def anchors(rules: Sequence[Rule]) -> Mapping[tuple[str, str], list[tuple[Rule, Pattern]]]:
    """Every spelling of every rule by the operator of its root, in the order given."""
    index: dict[tuple[str, str], list[tuple[Rule, Pattern]]] = {}
    for rule in rules:
        for pattern in rule.patterns:
            index.setdefault(pattern.calls[pattern.root].key, []).append((rule, pattern))
    return index
