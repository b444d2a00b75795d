"""How a command ends: the exit code, and one line that names the cause and the next step."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from graphopt.cli.signals import Terminated, settle
from graphopt.errors import (
    ArtifactError,
    BackendError,
    EqualityError,
    FeedError,
    GraphoptError,
    ModelError,
    PassError,
    TargetError,
    UsageError,
)

FAILED, INTERRUPTED, BROKEN_PIPE, TERMINATED = 1, 130, 141, 143

# What native libraries say when memory runs out; none of them raises MemoryError.
_MEMORY_SIGNS = (
    "bad_alloc",
    "bad allocation",
    "cannot allocate memory",
    "failed to allocate memory",
    "failed to map segment",
    "can't start new thread",
    "pthread_create",
)
_HELP = {"-h", "--help", "--version"}
_LEAST_ADDRESS_SPACE = 512 << 20
_MEMORY_HINT = "raise the memory limit, or use a machine with more memory"


_USUAL_HINTS: tuple[tuple[type[GraphoptError], str], ...] = (
    (ArtifactError, "compile the model again: graphopt compile MODEL.onnx -o MODEL.gopt"),
    (BackendError, "graphopt doctor shows what can run here"),
    (EqualityError, "graphopt bisect finds the pass and the subgraph"),
    (FeedError, "graphopt inspect lists the inputs with dtype and shape"),
    (ModelError, "export the model again"),
    (PassError, "leave the pass out with --disable-pass"),
    (TargetError, "graphopt doctor shows this machine's target"),
    (UsageError, "graphopt --help"),
)

# Ends that are nobody's mistake: a traceback would say nothing.
_PLAIN = (click.ClickException, click.Abort, KeyboardInterrupt, Terminated)


def guard(command: click.Command, arguments: Sequence[str]) -> int:
    """Run ``command``; turn whatever it raises into one line on stderr and an exit code."""
    words = list(arguments)
    debug = "--debug" in words or os.environ.get("GRAPHOPT_DEBUG", "") not in ("", "0")
    as_json = "--json" in words
    try:
        if not _HELP.intersection(words):
            _check_address_space()
        # Not command.main: it handles interruptions its own way.
        with command.make_context("graphopt", words) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        return _broken_pipe()
    except BaseException as error:
        settle()
        if debug and not isinstance(error, _PLAIN):
            traceback.print_exc()
        return _report(error, words, as_json)


def _report(error: BaseException, words: Sequence[str], as_json: bool) -> int:
    code, message, hint = describe(error, words)
    if as_json:
        kind = type(error).__name__
        record = {"error": {"kind": kind, "message": message, "hint": hint, "exit_code": code}}
        print(json.dumps(record, indent=1))
    print(f"error: {message}" + (f" (hint: {hint})" if hint else ""), file=sys.stderr)
    return code


def describe(error: BaseException, words: Sequence[str]) -> tuple[int, str, str]:
    """The exit code, the cause and the next step, each on one line."""
    code, message, hint = _classify(error, words)
    return code, _one_line(message), _one_line(hint)


def _classify(error: BaseException, words: Sequence[str]) -> tuple[int, str, str]:
    if isinstance(error, click.ClickException):
        return error.exit_code, _usage_message(error), _help_command(error)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return INTERRUPTED, "interrupted", "nothing was written"
    if isinstance(error, Terminated):
        return TERMINATED, "terminated", "nothing was written"
    if _is_out_of_memory(error):
        return FAILED, _memory_message(), _MEMORY_HINT
    if isinstance(error, GraphoptError):
        return error.exit_code, error.message, error.hint or _usual_hint(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return FAILED, f"{where}{error.strerror}", _os_hint(error)
    saved = _save_traceback(error, words)
    return FAILED, f"internal error: {type(error).__name__}: {error}", f"this is a bug; please report {saved}"


def _usual_hint(error: GraphoptError) -> str:
    """The next step for an error that names none of its own."""
    return next((hint for kind, hint in _USUAL_HINTS if isinstance(error, kind)), "")


def _usage_message(error: click.ClickException) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return "no command given"
    return error.format_message()


def _help_command(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    return f"{ctx.command_path} --help" if ctx is not None else "graphopt --help"


def _address_space() -> int | None:
    """The limit of this process (RLIMIT_AS) in bytes, None without one."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _memory_message() -> str:
    limit = _address_space()
    if limit is None:
        return "out of memory"
    return f"out of memory: this process may use {limit >> 20} MiB of address space"


def _check_address_space() -> None:
    """Refuse a limit under which loading the libraries already fails: some of them abort the process."""
    limit = _address_space()
    if limit is not None and limit < _LEAST_ADDRESS_SPACE:
        have, need = limit >> 20, _LEAST_ADDRESS_SPACE >> 20
        raise GraphoptError(
            f"out of memory: this process may use {have} MiB of address space, graphopt needs {need}",
            f"raise the limit with `ulimit -v {need << 10}` or more",
        )


def _is_out_of_memory(error: BaseException) -> bool:
    """Also when the shortage is the cause of a failure somebody else has wrapped."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or (isinstance(seen, OSError) and seen.errno == errno.ENOMEM):
            return True
        text = str(seen).lower()
        if any(sign in text for sign in _MEMORY_SIGNS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _os_hint(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "check the path"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "choose a place you may write to, or change the permissions"
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space or write somewhere else"
    return "check the path"


def _save_traceback(error: BaseException, words: Sequence[str]) -> str:
    """Write the traceback to a file of its own; the path, or where it went instead."""
    text = "".join(traceback.format_exception(error))
    try:
        handle, name = tempfile.mkstemp(prefix="graphopt-bug-", suffix=".txt")
        with os.fdopen(handle, "w") as file:
            file.write(f"graphopt {' '.join(words)}\nPython {sys.version}\n\n{text}")
    except OSError:
        return "what GRAPHOPT_DEBUG=1 prints"
    return str(Path(name))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _broken_pipe() -> int:
    """Nobody reads any more: leave quietly, and keep the interpreter from flushing into the void."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def json_text(value: Any) -> str:
    """One JSON document; NumPy scalars and paths become plain values."""
    return json.dumps(value, indent=1, default=_plain)


def _plain(value: object) -> object:
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)
