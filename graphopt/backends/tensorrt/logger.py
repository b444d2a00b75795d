"""TensorRT's own log, kept for people. Imports no compiler room."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from graphopt.backends.tensorrt.module import Library

ERROR, WARNING, INFO, VERBOSE = "error", "warning", "info", "verbose"

_LEVELS = {"INTERNAL_ERROR": ERROR, "ERROR": ERROR, "WARNING": WARNING, "INFO": INFO, "VERBOSE": VERBOSE}
_ROUTINE = (
    "The logger passed into",  # there is one per process
    "Make sure input",  # what dtypes bindings have is written in the artifact
    "Make sure output",
    "is unused or used only at compile-time",  # Shape of an input: no bytes are read
    "Unused Input",
    "was provided with non-empty data",  # of no elements: the parser's own placeholder
)
_KEPT = "Number of target compute capabilities"
"""The one line of the finest level, of thousands, that facts are read from."""
_MOST_NOTES = 20


@dataclass
class Log:
    """What TensorRT said since the log was last cleared.

    Attributes:
        lines: (level, text) in order, without the finest level but for what facts are read from.
        handle: the object TensorRT takes as its logger.
    """

    lines: list[tuple[str, str]] = field(default_factory=list)
    handle: Any = None

    def texts(self, level: str) -> list[str]:
        """The texts of one level, each once, in order."""
        return list(dict.fromkeys(text for kind, text in self.lines if kind == level))

    def number(self, pattern: str) -> int | None:
        """What the group of a pattern holds in the last line it is found in."""
        for _, text in reversed(self.lines):
            if found := re.search(pattern, text):
                return int(found[1])
        return None

    def notes(self) -> tuple[str, ...]:
        """The warnings a person may want to read, one line each; routine ones are left out."""
        texts = [readable(text) for text in self.texts(WARNING) if not any(part in text for part in _ROUTINE)]
        return tuple(dict.fromkeys(texts))[:_MOST_NOTES]


@cache
def log_of(library: Library) -> Log:
    """The log of one TensorRT. There is one per process: TensorRT keeps the first logger it is given."""
    log = Log()

    class Logger(library.api.ILogger):  # type: ignore[misc,name-defined]
        """Hands every line on."""

        def __init__(self) -> None:
            library.api.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT, from any thread."""
            name = str(getattr(severity, "name", severity)).rpartition(".")[2]
            level = _LEVELS.get(name, INFO)
            if level != VERBOSE or _KEPT in message:
                log.lines.append((level, message))

    log.handle = Logger()
    return log


def first_error(log: Log, mark: int) -> str:
    """The first error since there were ``mark`` lines, made readable; empty where there is none.

    The first is the cause: what follows is what came of it.
    """
    return next((readable(text) for kind, text in log.lines[mark:] if kind == ERROR), "")


def readable(text: str) -> str:
    """The first line of what TensorRT said, without the paths and line numbers of its own sources."""
    line = next((part for part in text.splitlines() if part.strip()), text).strip()
    line = re.sub(r"\s*\(?In \w+ at \S+\.(?:cpp|h|hpp|cu):\d+\)?", "", line)
    line = re.sub(r"\[?\b\w+\.(?:cpp|h|hpp|cu)(?:::\w+)*(?:::|:\s?)\d+(?:: \w+)?\]?:?\s*", "", line)
    line = re.sub(r"^I\w+::\w+: (?:Error Code \d+: )?", "", line)
    # "API Usage Error (what it is about. In …": the bracket was closed behind the path.
    if line.count("(") > line.count(")") and (found := re.match(r"[\w ]+ \((.+)$", line)):
        line = found[1]
    return " ".join(line.split())
