"""Execution contexts of an engine, shared among threads and streams. Imports no compiler room."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphopt.backends.cuda.device import Device
from graphopt.backends.cuda.stream import Event, Stream
from graphopt.backends.tensorrt.logger import Log, first_error
from graphopt.errors import BackendError

MOST_CONTEXTS = 4
"""Contexts of one profile. Each has memory of its own for activations, so that runs overlap on the GPU."""

_MOST_LOG_LINES = 1_000


class Context:
    """An execution context set to one profile.

    Attributes:
        handle: TensorRT's own object; one thread at a time uses it.
        busy: when the GPU is done with the last run of it.
    """

    def __init__(self, handle: Any) -> None:
        """A context nothing runs on yet."""
        self.handle = handle
        self.busy: Event | None = None

    def follow(self, stream: Stream) -> None:
        """Let later work on ``stream`` wait for the last run: both use the context's memory."""
        if self.busy is not None:
            stream.wait(self.busy)


class ContextPool:
    """Makes contexts as they are needed and hands them out. Safe to use from several threads."""

    def __init__(self, engine: Any, api: Any, log: Log, device: Device) -> None:
        """``api`` is the TensorRT module, ``log`` its log, ``device`` the GPU the engine is on."""
        self._device = device
        self._engine = engine
        self._api = api
        self._log = log
        self._idle: dict[int, deque[Context]] = {}
        self._made: dict[int, int] = {}
        self._changed = threading.Condition()
        self._mark = len(log.lines)

    def make(self, profile: int, stream: Stream, *, final: bool = False) -> Context:
        """A context of the caller's own.

        Args:
            profile: number of the optimisation profile it is set to.
            stream: it will first be used on.
            final: compile what it needs now, not while it runs: a run can then be captured.

        Raises:
            BackendError: TensorRT has no memory for it, or refuses it in its own words.
        """
        handle = self._new(final)
        if handle is None:
            # TensorRT allocates by itself: what is kept for the next run may be what it lacks.
            self._device.trim()
            handle = self._new(final)
        if handle is None:
            raise self.failure("cannot make an execution context")
        if profile and not handle.set_optimization_profile_async(profile, stream.handle):
            raise self.failure(f"cannot switch to profile {profile}")
        return Context(handle)

    @contextmanager
    def lend(self, profile: int, stream: Stream) -> Iterator[Context]:
        """A context nobody else enqueues on meanwhile; work put on ``stream`` comes after its last run."""
        if len(self._log.lines) > _MOST_LOG_LINES:
            self._log.lines.clear()
        self._mark = len(self._log.lines)
        context = self._take(profile, stream)
        try:
            context.follow(stream)
            yield context
            context.busy = stream.record()
        finally:
            with self._changed:
                self._idle[profile].append(context)
                self._changed.notify()

    def failure(self, what: str, error: Exception | None = None) -> BackendError:
        """What TensorRT could not do, with the reason it logged."""
        said = first_error(self._log, self._mark) or " ".join(str(error or "").split())
        hint = "free memory on the GPU" if "memory" in said.lower() else ""
        return BackendError(f"TensorRT {what}" + (f": {said[:300]}" if said else ""), hint)

    def _take(self, profile: int, stream: Stream) -> Context:
        with self._changed:
            idle = self._idle.setdefault(profile, deque())
            while True:
                # One the GPU is done with, else a new one, else whichever the GPU is done with first.
                ready = next((context for context in idle if context.busy is None or context.busy.done), None)
                if ready is not None:
                    idle.remove(ready)
                    return ready
                made = self._made.get(profile, 0)
                if made < MOST_CONTEXTS and (fresh := self._try_make(profile, stream, needed=not made)):
                    self._made[profile] = made + 1
                    return fresh
                if idle:
                    return idle.popleft()
                self._changed.wait()

    def _new(self, final: bool) -> Any:
        try:
            return self._engine.create_execution_context(*self._configuration(final))
        except RuntimeError as error:
            raise self.failure("cannot make an execution context", error) from error

    def _try_make(self, profile: int, stream: Stream, *, needed: bool) -> Context | None:
        try:
            return self.make(profile, stream)
        except BackendError:
            if needed:
                raise
            # No memory for one more: those there are must do from now on.
            self._made[profile] = MOST_CONTEXTS
            return None

    def _configuration(self, final: bool) -> tuple[Any, ...]:
        """TensorRT-RTX specialises kernels in the background unless told to do it at once."""
        strategies = getattr(self._api, "DynamicShapesKernelSpecializationStrategy", None)
        if not final or strategies is None:
            return ()
        configuration = self._engine.create_runtime_config()
        configuration.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        return (configuration,)
