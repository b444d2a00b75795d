"""A worker process seen from outside: start, run, stop, continue, end. It never outlives its owner."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from graphopt.errors import BackendError
from graphopt.measure.engine import Engine
from graphopt.measure.memory import tree_peak_rss_bytes
from graphopt.measure.protocol import Message, receive, send

_TAIL_BYTES = 4096
_TAIL_LINES = 5


@dataclass(frozen=True)
class Startup:
    """How an engine came up. All times are single observations.

    Attributes:
        import_seconds: importing the libraries the engine named.
        load_seconds: the factory: from files to a callable.
        first_run_seconds: the first inference.
        rss_before_load_bytes: peak resident memory before the factory (interpreter and libraries).
    """

    import_seconds: float
    load_seconds: float
    first_run_seconds: float
    rss_before_load_bytes: int


class Worker:
    """One engine in a fresh process; a context manager, and not thread-safe.

    The process has its own process group (a Ctrl-C in the terminal reaches the owner only, and the
    whole group can be stopped and killed) and dies with the thread that made it.

    Args:
        engine: what to build.
        load_seconds: limit for building it and for its first inference.
        call_seconds: limit for one inference afterwards.

    Raises:
        BackendError: the engine could not be built, crashed or took too long; nothing is left running.
    """

    def __init__(self, engine: Engine, *, load_seconds: float = 600.0, call_seconds: float = 120.0) -> None:
        self.engine = engine
        self._call_seconds = call_seconds
        self._stopped = False
        self._closed = False
        self._latency_seconds = 0.0
        self._last_words = ""
        try:
            self._launch()
        except OSError as error:
            raise BackendError(
                f"no process can be started for engine '{engine.name}': {error.strerror or error}",
                "free memory or raise the limit on processes and open files",
            ) from None
        try:
            self.startup = self._start(load_seconds)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its process group."""
        return self._process.pid

    def warm_up(self, *, calls: int = 3, seconds: float = 0.1) -> float:
        """Call the engine until both limits are reached; returns its latency so far in seconds."""
        limit = calls * self._call_seconds + seconds
        answer = self._ask({"do": "warm", "calls": calls, "seconds": seconds}, limit, "warming up")
        latency = self._number(answer, "latency_ns")
        self._latency_seconds = latency / 1e9
        return self._latency_seconds

    def run(self, n: int, *, settle: int = 1) -> tuple[int, ...]:
        """Time ``n`` calls one by one, after ``settle`` untimed ones; returns nanoseconds, in order."""
        # Waiting n times the limit of one call would turn a hang into hours when calls are short.
        limit = self._call_seconds + 20 * (n + settle) * self._latency_seconds
        answer = self._ask({"do": "run", "n": n, "settle": settle}, limit, "running")
        samples = answer.get("samples_ns")
        if not isinstance(samples, list) or len(samples) != n or not all(isinstance(s, int) for s in samples):
            raise self._fail("answered something that is not the samples asked for")
        return tuple(samples)

    def stop(self) -> None:
        """Take the process and all its threads off the processor (SIGSTOP) and wait until they are."""
        if self._stopped or self._closed:
            return
        os.killpg(self.pid, signal.SIGSTOP)
        state = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if state is not None and state.si_code != os.CLD_STOPPED:
            raise self._died("while idle")
        # Consumed, so that the next stop does not see this one; an exit is left for Popen to reap.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG)
        self._stopped = True

    def resume(self) -> None:
        """Let a stopped process continue (SIGCONT)."""
        if not self._stopped or self._closed:
            return
        os.killpg(self.pid, signal.SIGCONT)
        self._stopped = False

    def peak_rss_bytes(self) -> int:
        """Peak resident memory so far of the process and its children, in bytes."""
        try:
            return tree_peak_rss_bytes(self.pid)
        except BackendError:
            raise self._died("while idle") from None

    def close(self) -> None:
        """Kill the process, its group and its descendants, and wait for its end; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        try:
            # Not reaped before this point, so the id cannot have been given to somebody else.
            family: list[psutil.Process] = []
            with contextlib.suppress(psutil.Error):
                family = psutil.Process(self.pid).children(recursive=True)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            for child in family:
                with contextlib.suppress(psutil.Error):
                    child.kill()
            self._process.wait()
        finally:
            self._last_words = _tail(self._log.fileno())
            self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _launch(self) -> None:
        """Start the process, its output in a file without a name and two pipes to it."""
        paths = [str(Path(entry).absolute()) for entry in sys.path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **self.engine.environment}
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            self._log = undo.enter_context(tempfile.TemporaryFile())
            ends = []
            for ours in (1, 0):
                pipe = os.pipe()
                undo.callback(os.close, pipe[ours])
                theirs.callback(os.close, pipe[1 - ours])
                ends.append((pipe[ours], pipe[1 - ours]))
            (self._requests, requests), (self._replies, replies) = ends
            # -P: the folder the person stands in may hold a file called like a module.
            command = [sys.executable, "-P", "-m", "graphopt.measure.worker"]
            self._process = subprocess.Popen(
                [*command, str(requests), str(replies), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(requests, replies),
                env=environment,
                process_group=0,
            )
            self._files = undo.pop_all()

    def _start(self, limit: float) -> Startup:
        request = {
            "do": "start",
            "factory": self.engine.factory,
            "arguments": dict(self.engine.arguments),
            "imports": list(self.engine.imports),
        }
        answer = self._ask(request, limit, "starting")
        return Startup(
            import_seconds=self._number(answer, "import_seconds"),
            load_seconds=self._number(answer, "load_seconds"),
            first_run_seconds=self._number(answer, "first_run_seconds"),
            rss_before_load_bytes=int(self._number(answer, "rss_before_load_bytes")),
        )

    def _ask(self, request: Message, seconds: float, doing: str) -> Message:
        if self._closed:
            raise BackendError(f"engine '{self.engine.name}' has been closed")
        self.resume()
        try:
            send(self._requests, request)
            answer = receive(self._replies, seconds=seconds, alive=self._lives)
        except (EOFError, BrokenPipeError):
            raise self._died(f"while {doing}") from None
        except TimeoutError:
            raise self._fail(f"did not finish {doing} in {seconds:.3g} s") from None
        except ValueError as error:
            raise self._fail(f"sent {error} while {doing}") from None
        if "error" in answer:
            self.close()
            hint = str(answer.get("hint", ""))
            raise BackendError(f"engine '{self.engine.name}' failed while {doing}: {answer['error']}", hint)
        return answer

    def _number(self, answer: Message, key: str) -> float:
        value: Any = answer.get(key)
        if not isinstance(value, (int, float)):
            raise self._fail(f"sent an answer without '{key}'")
        return value

    def _lives(self) -> bool:
        # WNOWAIT leaves the process to be reaped by close().
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def _died(self, when: str) -> BackendError:
        self.close()
        code = self._process.returncode
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return BackendError(f"engine '{self.engine.name}' {how} {when}{self._last_words}")

    def _fail(self, what: str) -> BackendError:
        self.close()
        return BackendError(f"engine '{self.engine.name}' {what}{self._last_words}")


def _tail(descriptor: int) -> str:
    """The last lines a worker printed, on one line."""
    size = os.fstat(descriptor).st_size
    text = os.pread(descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"; its last words: {' | '.join(lines[-_TAIL_LINES:])}" if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
