"""Every pass a pipeline string may name: the library's, installed packages', and the backends' own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt.pipeline.pass_base import Pass


def known_passes() -> dict[str, type[Pass]]:
    """Pass classes by name.

    Raises:
        UsageError: two passes claim one name.
    """
    from graphopt.errors import UsageError
    from graphopt.passes import registry

    found = dict(registry())
    for backend, classes in _legalizations().items():
        for cls in classes:
            if found.setdefault(cls.name(), cls) is not cls:
                raise UsageError(f"the pass {cls.name()} of backend {backend} clashes with another's")
    return found


def known_groups() -> dict[str, Sequence[type[Pass]]]:
    """Groups of passes in running order; a backend's name stands for its legalisation."""
    from graphopt.passes import GROUPS

    return {**GROUPS, **_legalizations()}


def _legalizations() -> dict[str, tuple[type[Pass], ...]]:
    from graphopt.backends.registry import all_backends

    return {backend.name: backend.legalize_passes for backend in all_backends() if backend.legalize_passes}
