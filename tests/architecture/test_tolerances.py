"""Tolerances come from graphopt/equality/tolerance.py; a literal one anywhere else is refused."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.tracked import ROOT, python_files

_HOME = ROOT / "graphopt" / "equality" / "tolerance.py"
_KEYWORDS = {"rtol", "atol", "decimal", "significant"}
# Where a tolerance can be given by position, and from which argument on.
_POSITIONAL = {
    "assert_allclose": 2,
    "allclose": 2,
    "isclose": 2,
    "assert_almost_equal": 2,
    "assert_array_almost_equal": 2,
    "assert_approx_equal": 2,
}


def literal_tolerances(source: str) -> Iterator[int]:
    """Line numbers where a tolerance is written as a number other than zero."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, "attr", None) or getattr(function, "id", "")
            given = [k.value for k in node.keywords if k.arg in _KEYWORDS]
            if name in _POSITIONAL:
                given += node.args[_POSITIONAL[name] :]
            yield from (value.lineno for value in given if _is_number(value))
        elif isinstance(node, ast.Assign):
            names = {getattr(target, "id", "").lower() for target in node.targets}
            if names & _KEYWORDS and _is_number(node.value):
                yield node.lineno


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_number(node.operand)
    if isinstance(node, ast.BinOp):
        return _is_number(node.left) or _is_number(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value != 0


def test_no_literal_tolerance() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in python_files()
        if path != _HOME
        for line in literal_tolerances(path.read_text())
    ]
    assert not offenders, f"take these from graphopt.equality.tolerance: {offenders}"


def test_the_check_sees_them() -> None:
    found = literal_tolerances(
        "np.testing.assert_allclose(a, b, rtol=1e-3)\n"
        "np.allclose(a, b, 1e-3)\n"
        "atol = 2 * 1e-6\n"
        "np.testing.assert_allclose(a, b, rtol=tolerance)\n"
        "np.testing.assert_allclose(a, b, rtol=0)\n"
    )
    assert sorted(found) == [1, 2, 3]
