"""Arithmetic on single elements that may be expressions.

What can be decided is decided; the rest is an atom that equals itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from graphopt.ir import expressions as ex
from graphopt.ir.expressions import Element

Array = npt.NDArray[np.object_]


def each(function: Callable[..., Element], *arrays: Array) -> Array:
    """``function`` on every element, operands broadcast."""
    return np.asarray(np.frompyfunc(function, len(arrays), 1)(*arrays), dtype=object)


def _choice(answer: bool | None, name: str, a: Element, b: Element) -> Element:
    return ex.derived(name, a, b) if answer is None else answer


def equal(a: Element, b: Element) -> Element:
    """Whether two elements are equal, as a boolean element."""
    return _choice(ex.equal(a, b), "equal", a, b)


def less(a: Element, b: Element) -> Element:
    """Whether one element is less than another, as a boolean element."""
    return _choice(ex.less(a, b), "less", a, b)


def logical_not(a: Element) -> Element:
    """The opposite of a boolean element."""
    return not a if isinstance(a, bool) else ex.derived("not", a)


def logical_and(a: Element, b: Element) -> Element:
    """Both: one that is false decides."""
    if a is False or b is False:
        return False
    if a is True:
        return b
    return a if b is True else ex.derived("and", a, b)


def logical_or(a: Element, b: Element) -> Element:
    """Either: one that is true decides."""
    if a is True or b is True:
        return True
    if a is False:
        return b
    return a if b is False else ex.derived("or", a, b)


def minimum(a: Element, b: Element) -> Element:
    """The smaller of two, where it is known which that is."""
    answer = ex.less(a, b)
    return ex.derived("min", a, b) if answer is None else a if answer else b


def maximum(a: Element, b: Element) -> Element:
    """The larger of two, where it is known which that is."""
    answer = ex.less(a, b)
    return ex.derived("max", a, b) if answer is None else b if answer else a


def absolute(a: Element) -> Element:
    """The element without its sign."""
    if ex.at_least(a, 0):
        return a
    return ex.negate(a) if ex.at_least(ex.negate(a), 0) else ex.derived("abs", a)


def pick(condition: Element, yes: Element, no: Element) -> Element:
    """What Where takes: decided by the condition, or the same either way."""
    if isinstance(condition, bool):
        return yes if condition else no
    return yes if yes == no else ex.derived("where", condition, yes, no)
