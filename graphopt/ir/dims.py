"""Names of symbolic dims: exporters write anything there, the compiler wants identifiers that mean something.

Two dims are equal only if they are the same number or the same *meaningful* name. ``?``, ``-1``, an
empty name and tf2onnx's ``unk__12`` mean "unknown": each occurrence gets a name of its own, ``unk_0``…
"""

from __future__ import annotations

import re

import onnx_ir as ir

_UNNAMED = frozenset({"", "?", "*", "-1", "none", "null", "nan", "unknown", "undefined", "dynamic", "n/a"})
_UNKNOWN = re.compile(r"unk_+\d*|-?\d+")
_MADE_UP = re.compile(r"unk_\d+")
_EXPRESSION = re.compile(r"[A-Za-z_0-9+\-*/() ,]+")
# Functions of dimension expressions: as names of dims they would be read as calls.
_RESERVED = frozenset({"max", "Max", "min", "Min", "floor", "sqrt", "mod", "Mod"})


def is_unnamed(name: str | None) -> bool:
    """Whether a dim's name says no more than "unknown"."""
    return name is None or name.strip().lower() in _UNNAMED or _UNKNOWN.fullmatch(name.strip()) is not None


def is_made_up(name: str) -> bool:
    """Whether the compiler gave this name to a dim it knows nothing about."""
    return _MADE_UP.fullmatch(name) is not None


def same_dim(a: int | ir.SymbolicDim, b: int | ir.SymbolicDim) -> bool:
    """Whether two dims are provably equal; unknown dims equal nothing, not even themselves elsewhere."""
    if isinstance(a, int) or isinstance(b, int):
        return isinstance(a, int) and isinstance(b, int) and a == b and a >= 0
    return a.value is not None and a.value == b.value


def same_shape(a: ir.Shape | None, b: ir.Shape | None) -> bool:
    """Whether two shapes are provably equal: known ranks and every dim the same."""
    if a is None or b is None or len(a) != len(b):
        return False
    return all(same_dim(x, y) for x, y in zip(a, b, strict=True))


class DimNames:
    """Gives every dim of one model its identifier; remembers which name stands for which original.

    Args:
        taken: names that must not be given to anything else.
    """

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        self._used = set(taken)
        self._identifiers: dict[str, str] = {}
        self._unknown = 0

    def clean(self, dim: int | ir.SymbolicDim) -> int | ir.SymbolicDim:
        """``dim`` as a non-negative number, an identifier, or an expression over identifiers."""
        if isinstance(dim, int):
            return dim if dim >= 0 else ir.SymbolicDim(self._fresh())
        if dim.value is None or is_unnamed(dim.value):
            return ir.SymbolicDim(self._fresh())
        return ir.SymbolicDim(self.identifier(dim.value))

    def identifier(self, name: str) -> str:
        """The identifier for a meaningful name; the same name always gets the same one."""
        known = self._identifiers.get(name)
        if known is None:
            known = name if _is_identifier(name) or _is_expression(name) else self._spell(name)
            self._identifiers[name] = known
            self._used.add(known)
        return known

    def _spell(self, name: str) -> str:
        spelled = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not _is_identifier(spelled):
            spelled = f"dim_{spelled}"
        candidate, count = spelled, 1
        while candidate in self._used:
            count += 1
            candidate = f"{spelled}_{count}"
        return candidate

    def _fresh(self) -> str:
        while (name := f"unk_{self._unknown}") in self._used:
            self._unknown += 1
        self._used.add(name)
        return name


def _is_identifier(name: str) -> bool:
    return name.isascii() and name.isidentifier() and name not in _RESERVED


def _is_expression(name: str) -> bool:
    """Whether ``name`` is arithmetic over identifiers, as torch's exporter writes it (``2*s0 + 1``)."""
    if _EXPRESSION.fullmatch(name) is None or len(name) > 200 or "**" in name:
        return False
    symbols = set(re.findall(r"[A-Za-z_]\w*", name)) - _RESERVED
    if not symbols or any(is_unnamed(symbol) for symbol in symbols) or not re.search(r"[-+*/(]", name):
        return False
    try:
        return ir.SymbolicDim(name).free_symbols() == symbols
    except (ValueError, TypeError, ZeroDivisionError, RecursionError):
        return False
