"""A pattern: one concrete spelling of a rule's left side, ready to be matched."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from graphopt.rewrite.parse import RuleSyntaxError
from graphopt.rewrite.syntax import Argument, AttrRef, Body, Call, Literal, Name

MAX_SPELLINGS = 64
"""More spellings than this in one rule is a mistake: every one is tried and every one is proven."""


@dataclass(frozen=True)
class Pattern:
    """Nodes in topological order with free names as variables.

    Attributes:
        calls: the nodes.
        outputs: names of the results, in the order the rule declares them.
    """

    calls: tuple[Call, ...]
    outputs: tuple[str, ...]

    @cached_property
    def producer(self) -> dict[str, tuple[int, int]]:
        """Index of the node and of its output for every name the pattern produces."""
        return {
            name.name: (node, index)
            for node, call in enumerate(self.calls)
            for index, name in enumerate(call.outputs)
            if name is not None
        }

    @cached_property
    def root(self) -> int:
        """The node matching starts at: the last that produces a result."""
        return max(self.producer[name][0] for name in self.outputs)

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """Every node that produces a result."""
        return tuple(sorted({self.producer[name][0] for name in self.outputs}))

    @cached_property
    def variables(self) -> tuple[Name, ...]:
        """The free names in order of first use; one is optional only if it is so everywhere."""
        found: dict[str, Name] = {}
        for call in self.calls:
            for arg in call.inputs:
                if isinstance(arg, Name) and arg.name not in self.producer:
                    seen = found.get(arg.name, arg)
                    found[arg.name] = replace(arg, optional=arg.optional and seen.optional)
        return tuple(found.values())

    @cached_property
    def attribute_names(self) -> frozenset[str]:
        """Names that attributes are bound to."""
        names = {v.name for call in self.calls for _, v in call.attributes if isinstance(v, AttrRef)}
        return frozenset(names | {call.rest for call in self.calls if call.rest is not None})

    @cached_property
    def interior(self) -> tuple[str, ...]:
        """Names produced that are no results."""
        return tuple(name for name in self.producer if name not in self.outputs)

    @cached_property
    def reached(self) -> frozenset[int]:
        """Nodes reached from the root through inputs; the others are found through uses."""
        seen: set[int] = set()
        stack = [self.root]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            stack.extend(self._inner(self.calls[node]))
        return frozenset(seen)

    @cached_property
    def parts(self) -> int:
        """Nodes plus literals: what a partial match is scored against."""
        return len(self.calls) + sum(isinstance(arg, Literal) for c in self.calls for arg in c.inputs)

    @cached_property
    def depth(self) -> int:
        """Nodes on the longest path."""
        depths: list[int] = []
        for call in self.calls:
            depths.append(1 + max((depths[node] for node in self._inner(call)), default=0))
        return max(depths)

    def _inner(self, call: Call) -> Iterator[int]:
        """The nodes of the pattern that ``call`` reads."""
        for arg in call.inputs:
            if isinstance(arg, Name) and arg.name in self.producer:
                yield self.producer[arg.name][0]


def spellings(body: Body) -> tuple[Pattern, ...]:
    """Every concrete spelling of ``body``: the product of the alternatives of its statements.

    Raises:
        RuleSyntaxError: a name is produced twice or used before it is produced, a spelling consists
            of no node, or there are more than MAX_SPELLINGS.
    """
    _check_names(body)
    count = 1
    for statement in body.statements:
        count *= len(statement.terms)
    if count > MAX_SPELLINGS:
        raise RuleSyntaxError(f"{count} spellings in one rule; split it (at most {MAX_SPELLINGS})")
    choices = itertools.product(*(statement.terms for statement in body.statements))
    found = [_pattern(body, choice) for choice in choices]
    return tuple(dict.fromkeys(found))


def _check_names(body: Body) -> None:
    produced: set[str] = set()
    used: set[str] = set()
    for statement in body.statements:
        for term in statement.terms:
            arguments: tuple[Argument, ...] = (term,) if isinstance(term, Name) else term.inputs
            used.update(arg.name for arg in arguments if isinstance(arg, Name))
            if any(isinstance(arg, Name) and arg.variadic for arg in arguments[:-1]):
                raise RuleSyntaxError("in a left side '*' stands only at the last input")
        for name in statement.outputs:
            if name is None:
                continue
            if name.name in produced:
                raise RuleSyntaxError(f"{name.name!r} is produced twice")
            if name.name in used:
                raise RuleSyntaxError(f"{name.name!r} is used before it is produced")
            produced.add(name.name)
    missing = [name for name in body.outputs if name not in produced]
    if missing:
        raise RuleSyntaxError(f"{missing[0]!r} is declared as an output and never produced")


def _pattern(body: Body, choice: tuple[Call | Name, ...]) -> Pattern:
    """One spelling: aliases resolved, nodes nobody needs dropped."""
    calls: list[Call] = []
    alias: dict[str, str] = {}
    for statement, term in zip(body.statements, choice, strict=True):
        if isinstance(term, Call):
            resolved = tuple(_resolve(arg, alias) for arg in term.inputs) if alias else term.inputs
            calls.append(term if resolved == term.inputs else replace(term, inputs=resolved))
            continue
        (output,) = statement.outputs
        if output is not None:
            alias[output.name] = alias.get(term.name, term.name)
    renamed = {alias[name]: name for name in body.outputs if name in alias}
    calls = [_rename(call, renamed) for call in calls] if renamed else calls
    pattern = Pattern(tuple(calls), body.outputs)
    if any(name not in pattern.producer for name in body.outputs):
        raise RuleSyntaxError("a spelling passes an input straight through: it would match everything")
    return Pattern(_needed(pattern), body.outputs)


def _needed(pattern: Pattern) -> tuple[Call, ...]:
    needed: set[int] = set()
    stack = list(pattern.roots)
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack.extend(pattern._inner(pattern.calls[node]))
    return tuple(call for index, call in enumerate(pattern.calls) if index in needed)


def _resolve(arg: Argument, alias: dict[str, str]) -> Argument:
    return replace(arg, name=alias.get(arg.name, arg.name)) if isinstance(arg, Name) else arg


def _rename(call: Call, names: dict[str, str]) -> Call:
    outputs = tuple(None if o is None else replace(o, name=names.get(o.name, o.name)) for o in call.outputs)
    return replace(call, outputs=outputs, inputs=tuple(_resolve(arg, names) for arg in call.inputs))
