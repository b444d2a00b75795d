"""Find backends by name: those of this package and those that plug in. Imports them only when asked."""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata
from types import ModuleType
from typing import TYPE_CHECKING, cast

from graphopt.backends import ALL_BACKENDS
from graphopt.errors import BackendError, UsageError

if TYPE_CHECKING:
    from graphopt.backends.base import Backend
    from graphopt.backends.executable import Loader

ENTRY_POINT_GROUP = "graphopt.backends"
"""``name = "package"``: the package holds ``backend.py`` with ``BACKEND`` and ``load.py`` with ``load``."""


@cache
def backend_packages() -> dict[str, str]:
    """Name → package of every backend, ours first; raises UsageError when two have one name."""
    packages = {name: f"{__package__}.{name}" for name in ALL_BACKENDS}
    for entry in metadata.entry_points(group=ENTRY_POINT_GROUP):
        if packages.setdefault(entry.name, entry.value) != entry.value:
            both = f"{packages[entry.name]} and {entry.value}"
            raise UsageError(f"two backends are called '{entry.name}': {both}", "uninstall one of them")
    return packages


def find_backend(name: str) -> Backend:
    """The compiler side of one backend; raises UsageError when there is none of that name."""
    if name not in backend_packages():
        raise UsageError(f"there is no backend '{name}'", "backends: " + ", ".join(backend_packages()))
    return cast("Backend", _module(name, "backend").BACKEND)


def all_backends() -> tuple[Backend, ...]:
    """The compiler side of every backend."""
    return tuple(find_backend(name) for name in backend_packages())


def find_loader(name: str) -> Loader:
    """The runtime side of one backend; raises BackendError when it is not installed here."""
    if name not in backend_packages():
        raise BackendError(f"no backend '{name}' is installed here", "install the package that provides it")
    return cast("Loader", _module(name, "load").load)


def _module(name: str, part: str) -> ModuleType:
    try:
        return import_module(f"{backend_packages()[name]}.{part}")
    except ImportError as error:
        raise BackendError(f"backend '{name}' cannot be imported: {error}", "graphopt doctor") from error
