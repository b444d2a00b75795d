"""Elementwise arithmetic read as a polynomial, so that the order it was written in does not matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from graphopt.rewrite.constants import constant_tensor

Exponents = tuple[int, int]
Polynomial = Mapping[Exponents, float]
"""Coefficients by the powers of x and t: 0.5·x + 0.5·x·t is {(1, 0): 0.5, (1, 1): 0.5}."""

X: Polynomial = {(1, 0): 1.0}
T: Polynomial = {(0, 1): 1.0}

ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Pow"})
"""The operators that are read."""

_MAX_DEGREE = 4
_MAX_NODES = 16
"""Nodes of one expression: the longest spelling of a form known has eleven."""


@dataclass
class Reader:
    """Reads one expression.

    Args:
        atoms: the values where reading stops, and what they stand for.

    Attributes:
        nodes: what was read through.
    """

    atoms: Mapping[ir.Value, Polynomial]
    nodes: dict[ir.Node, None] = field(default_factory=dict)

    def read(self, value: ir.Value | None) -> Polynomial | None:
        """``value`` as a polynomial of the atoms; None where it depends on anything else."""
        if value is None:
            return None
        if value in self.atoms:
            return self.atoms[value]
        number = scalar(value)
        if number is not None:
            return {(0, 0): number} if number else {}
        node = value.producer()
        if node is None or node.domain != "" or node.op_type not in ARITHMETIC:
            return None
        if node not in self.nodes and len(self.nodes) >= _MAX_NODES:
            return None
        self.nodes[node] = None
        return self._apply(node)

    def _apply(self, node: ir.Node) -> Polynomial | None:
        left = self.read(node.inputs[0])
        if left is None:
            return None
        if node.op_type == "Neg":
            return scaled(left, -1.0)
        right = self.read(node.inputs[1])
        if right is None:
            return None
        if node.op_type == "Add":
            return added(left, right)
        if node.op_type == "Sub":
            return added(left, scaled(right, -1.0))
        if node.op_type == "Mul":
            return multiplied(left, right)
        number = _constant_of(right)
        if number is None:
            return None
        if node.op_type == "Div":
            return scaled(left, 1.0 / number) if number else None
        return _power(left, number)


def scalar(value: ir.Value | None) -> float | None:
    """The number a constant of one element holds, else None."""
    tensor = constant_tensor(value)
    if tensor is None or tensor.size != 1 or not tensor.dtype.is_floating_point():
        return None
    number = float(np.asarray(tensor.numpy()).astype(np.float64).reshape(()))
    return number if np.isfinite(number) else None


def added(a: Polynomial, b: Polynomial) -> Polynomial:
    """a + b."""
    total = dict(a)
    for powers, number in b.items():
        total[powers] = total.get(powers, 0.0) + number
    return {powers: number for powers, number in total.items() if number}


def scaled(a: Polynomial, factor: float) -> Polynomial:
    """factor · a."""
    return {powers: number * factor for powers, number in a.items()}


def multiplied(a: Polynomial, b: Polynomial) -> Polynomial | None:
    """a · b; None beyond the degree any form needs."""
    total: dict[Exponents, float] = {}
    for (i, j), left in a.items():
        for (k, m), right in b.items():
            powers = (i + k, j + m)
            if sum(powers) > _MAX_DEGREE:
                return None
            total[powers] = total.get(powers, 0.0) + left * right
    return {powers: number for powers, number in total.items() if number}


def _power(a: Polynomial, exponent: float) -> Polynomial | None:
    if exponent not in (2.0, 3.0):
        return None
    square = multiplied(a, a)
    return square if exponent == 2.0 or square is None else multiplied(square, a)


def _constant_of(a: Polynomial) -> float | None:
    """The number a polynomial without variables is."""
    return a.get((0, 0), 0.0) if set(a) <= {(0, 0)} else None
