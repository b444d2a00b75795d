"""graphopt: an optimizing compiler for ONNX models.

``graphopt.compile(model, target="cpu")`` writes an artifact that is checked equal to the model and
measured to be no slower; ``graphopt.load(path).run(feeds)`` runs it. Everything here is loaded when
it is first used: importing graphopt pulls in nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphopt.api import (
        CompileResult,
        EngineOptions,
        bench,
        bisect,
        compile,  # noqa: A004 - the verb people look for
        doctor,
        explain,
        from_graphsurgeon,
        inspect,
        load,
        optimize,
        pack,
        to_graphsurgeon,
        verify,
    )

__version__ = "0.1.0"

__all__ = [
    "CompileResult",
    "EngineOptions",
    "__version__",
    "bench",
    "bisect",
    "compile",
    "doctor",
    "explain",
    "from_graphsurgeon",
    "inspect",
    "load",
    "optimize",
    "pack",
    "to_graphsurgeon",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'graphopt' has no attribute {name!r}")
    from graphopt import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
