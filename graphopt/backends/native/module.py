"""The compiled part of graphopt, imported when it is needed. Imports no compiler room."""

from __future__ import annotations

from functools import cache
from typing import Any

from graphopt.errors import BackendError

FIX = "pip install --force-reinstall graphopt"


@cache
def import_kernels() -> Any:
    """The extension module.

    Raises:
        BackendError: it is missing or does not load; the hint is the command that mends it.
    """
    try:
        from graphopt import _kernels
    except ImportError as error:
        raise BackendError(f"graphopt's native core cannot be loaded: {error}", FIX) from error
    return _kernels


@cache
def opcodes() -> dict[str, int]:
    """Numbers of the elementwise instructions, by name."""
    return {name: number for name, (number, _) in import_kernels().elementwise_opcodes().items()}
