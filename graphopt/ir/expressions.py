"""Integers known as polynomials over the sizes of dims: ``2*batch + 1``, ``heads*seq``.

An element of a shape tensor is an ``Element``: a Python number where it is known, else an ``Expression``.
Equal expressions are equal whatever the sizes turn out to be, so ``==`` on expressions is a proof; that
they differ as texts proves nothing. What no polynomial says (a quotient that leaves a remainder, an
element somebody feeds) is an atom of its own.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

Atom = tuple[str, ...]
"""What an expression is made of: ``("dim", "batch")``, or something computed that nothing is known about."""

Monomial = tuple[Atom, ...]
_LONGEST = 12
"""Terms: a longer polynomial is never the spelling of anything."""

_LONGEST_TEXT = 240
"""Characters: what is longer is remembered by its digest."""


@dataclass(frozen=True)
class Expression:
    """A polynomial that is not a number.

    Attributes:
        terms: pairs of a monomial and its factor, sorted; the empty monomial is the constant term.
    """

    terms: tuple[tuple[Monomial, int], ...]

    def atoms(self) -> Iterator[Atom]:
        """Everything it is made of."""
        for monomial, _ in self.terms:
            yield from monomial


Element = int | bool | Expression
"""One element of an integer or boolean tensor."""


def size_of(name: str) -> Expression:
    """The size of the dim called ``name``: never negative."""
    return _single(("dim", name))


def opaque(*words: str) -> Expression:
    """An integer that nothing is known about; the same ``words`` mean the same integer."""
    return _single(("unknown", *words))


def derived(function: str, *arguments: Element) -> Expression:
    """What ``function`` makes of ``arguments``: the same for the same arguments, otherwise unknown."""
    spelled = ",".join(map(repr, arguments))
    if len(spelled) > _LONGEST_TEXT:
        spelled = hashlib.blake2b(spelled.encode(), digest_size=20).hexdigest()
    return _single((function, spelled))


def remainder(a: Element, b: Element) -> Element:
    """``a % b`` with the sign of ``b``, as ONNX's Mod has it by default."""
    if isinstance(b, int) and b:
        if isinstance(a, int):
            return int(a) % int(b)
        if all(factor % b == 0 for _, factor in a.terms):
            return 0
    return derived("remainder", a, b)


def add(a: Element, b: Element) -> Element:
    """``a + b``."""
    if isinstance(a, int) and isinstance(b, int):
        return int(a) + int(b)
    total = dict(_terms(a))
    for monomial, factor in _terms(b):
        total[monomial] = total.get(monomial, 0) + factor
    return _normal(total)


def negate(a: Element) -> Element:
    """``-a``."""
    return multiply(a, -1)


def subtract(a: Element, b: Element) -> Element:
    """``a - b``."""
    return add(a, negate(b))


def multiply(a: Element, b: Element) -> Element:
    """``a * b``."""
    if isinstance(a, int) and isinstance(b, int):
        return int(a) * int(b)
    total: dict[Monomial, int] = {}
    for left, x in _terms(a):
        for right, y in _terms(b):
            monomial = tuple(sorted(left + right))
            total[monomial] = total.get(monomial, 0) + x * y
    return _normal(total) if len(total) <= _LONGEST else derived("product", a, b)


def divide(a: Element, b: Element) -> Element:
    """``a / b`` as integers divide in ONNX: towards zero. Exact where every term can be divided.

    A divisor is taken not to be zero: nothing can be said about a model that divides by it.
    """
    if isinstance(b, int) and b == 0:
        return derived("quotient", a, b)
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if isinstance(b, int):
        if all(factor % b == 0 for _, factor in _terms(a)):
            return _normal({monomial: factor // b for monomial, factor in _terms(a)})
        return derived("quotient", a, b)
    return _divide_by_term(a, b)


def _divide_by_term(a: Element, b: Expression) -> Element:
    """A product divided by one of its factors."""
    if len(b.terms) != 1 or not isinstance(a, Expression):
        return derived("quotient", a, b)
    [(divisor, scale)] = b.terms
    total: dict[Monomial, int] = {}
    for monomial, factor in a.terms:
        left = list(monomial)
        for atom in divisor:
            if atom not in left:
                return derived("quotient", a, b)
            left.remove(atom)
        if factor % scale:
            return derived("quotient", a, b)
        total[tuple(left)] = factor // scale
    return _normal(total)


def equal(a: Element, b: Element) -> bool | None:
    """Whether ``a`` is ``b``: yes, no, or nobody knows."""
    difference = subtract(a, b)
    if isinstance(difference, int):
        return difference == 0
    return False if at_least(difference, 1) or at_least(negate(difference), 1) else None


def less(a: Element, b: Element) -> bool | None:
    """Whether ``a`` is less than ``b``: yes, no, or nobody knows."""
    difference = subtract(b, a)
    if at_least(difference, 1):
        return True
    return False if at_least(negate(difference), 0) else None


def at_least(a: Element, bound: int) -> bool:
    """Whether ``a`` is certainly no less than ``bound``: dims are never negative."""
    if isinstance(a, int):
        return a >= bound
    constant = 0
    for monomial, factor in a.terms:
        if not monomial:
            constant = factor
        elif factor < 0 or any(atom[0] != "dim" for atom in monomial):
            return False
    return constant >= bound


@cache
def parse(text: str) -> Expression | int:
    """The size a dim's text stands for: a name, or arithmetic over names.

    What is more than sums and products stays one atom, the whole text: it is a size all the same.
    """
    if text.isidentifier():
        return size_of(text)
    try:
        found = _read(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        return size_of(text)
    # Only sums of sizes are plainly no less than zero; of ``n - 1`` that is known only as a whole.
    return found if at_least(found, 0) and not isinstance(found, bool) else size_of(text)


def _read(tree: ast.expr) -> Expression | int:
    if isinstance(tree, ast.Name):
        return size_of(tree.id)
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int):
        return tree.value
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        return add(_read(tree.left), _read(tree.right))
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Mult):
        return multiply(_read(tree.left), _read(tree.right))
    raise ValueError("no sum of products")


def product(elements: tuple[Element, ...]) -> Element:
    """All ``elements`` multiplied."""
    total: Element = 1
    for element in elements:
        total = multiply(total, element)
    return total


def _single(atom: Atom) -> Expression:
    return Expression((((atom,), 1),))


def _terms(a: Element) -> tuple[tuple[Monomial, int], ...]:
    return a.terms if isinstance(a, Expression) else (((), int(a)),)


def _normal(total: Mapping[Monomial, int]) -> Element:
    terms = tuple(sorted((m, f) for m, f in total.items() if f))
    if not terms:
        return 0
    if len(terms) == 1 and not terms[0][0]:
        return terms[0][1]
    return Expression(terms) if len(terms) <= _LONGEST else derived("sum", *(_term(t) for t in terms))


def _term(term: tuple[Monomial, int]) -> Element:
    return Expression((term,)) if term[0] else term[1]
