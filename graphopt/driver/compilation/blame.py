"""Which pass is to blame: the first in order that makes a pipeline fail."""

from __future__ import annotations

from collections.abc import Callable


def first_bad(length: int, bad: Callable[[int], bool]) -> int:
    """The shortest prefix that is bad, by bisection; ``bad(length)`` is known to hold.

    Takes prefixes to be good up to some length and bad from there on. Where that is not so the
    answer is still a prefix that is bad while the one before it is good (or 0).
    """
    if bad(0):
        return 0
    good, wrong = 0, length
    while wrong - good > 1:
        middle = (good + wrong) // 2
        if bad(middle):
            wrong = middle
        else:
            good = middle
    return wrong
