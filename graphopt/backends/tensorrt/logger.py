"""TensorRT's own log, kept for people. Imports no compiler room."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from graphopt.backends.tensorrt.module import Library

ERROR, WARNING, INFO, VERBOSE = "error", "warning", "info", "verbose"

_LEVELS = {"INTERNAL_ERROR": ERROR, "ERROR": ERROR, "WARNING": WARNING, "INFO": INFO, "VERBOSE": VERBOSE}


@dataclass
class Log:
    """What TensorRT said since the log was made.

    Attributes:
        lines: (level, text) in order; verbose ones only where asked for.
        handle: the object TensorRT takes as its logger.
    """

    lines: list[tuple[str, str]] = field(default_factory=list)
    handle: Any = None

    def texts(self, level: str) -> list[str]:
        """The texts of one level, each once, in order."""
        return list(dict.fromkeys(text for kind, text in self.lines if kind == level))

    def find(self, pattern: str) -> re.Match[str] | None:
        """The last line a pattern is found in."""
        for _, text in reversed(self.lines):
            if found := re.search(pattern, text):
                return found
        return None


def new_log(library: Library, *, verbose: bool = False) -> Log:
    """A log for one TensorRT; it prints nothing.

    Args:
        library: whose logger it is.
        verbose: keep the finest level too: thousands of lines for one build.
    """
    log = Log()

    class Logger(library.api.ILogger):  # type: ignore[misc,name-defined]
        """Hands every line on."""

        def __init__(self) -> None:
            library.api.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT, from any thread."""
            level = _LEVELS.get(str(getattr(severity, "name", severity)).rpartition(".")[2], INFO)
            if verbose or level != VERBOSE:
                log.lines.append((level, message))

    log.handle = Logger()
    return log
