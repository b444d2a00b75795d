"""The process in which one engine lives: builds it, calls it, times it, and answers over a pipe.

Started as ``python -m graphopt.measure.worker REQUESTS REPLIES PARENT`` (two descriptors and a
process id); nobody types that. Only the standard library is imported here, so that the memory and
the start of the process are the engine's.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from graphopt.errors import GraphoptError
from graphopt.measure.memory import peak_rss_bytes
from graphopt.measure.protocol import Message, receive, send

Call = Callable[[], Any]


def start(request: Message) -> tuple[Call, Message]:
    """Build the engine and do the first inference; the answer carries seconds and bytes of each step."""
    clock = time.perf_counter
    began = clock()
    for module in request["imports"]:
        importlib.import_module(module)
    module, _, function = request["factory"].partition(":")
    factory = getattr(importlib.import_module(module), function)
    rss_before = peak_rss_bytes()
    imported = clock()
    call = factory(**request["arguments"])
    loaded = clock()
    if not callable(call):
        raise TypeError(f"the factory returned {type(call).__name__}, which cannot be called")
    call()
    first = clock()
    return call, {
        "import_seconds": imported - began,
        "load_seconds": loaded - imported,
        "first_run_seconds": first - loaded,
        "rss_before_load_bytes": rss_before,
    }


def warm_up(call: Call, calls: int, seconds: float) -> Message:
    """Call until both limits are reached; the answer is the median of the later half, in ns."""
    clock = time.perf_counter_ns
    began = clock()
    samples: list[int] = []
    while len(samples) < calls or clock() - began < seconds * 1e9:
        before = clock()
        call()
        samples.append(clock() - before)
    late = sorted(samples[len(samples) // 2 :])
    return {"latency_ns": late[len(late) // 2], "calls": len(samples)}


def run_block(call: Call, n: int, settle: int) -> Message:
    """Time ``n`` calls one by one, after ``settle`` untimed ones: caches hold the other engines' data."""
    clock = time.perf_counter_ns
    samples = [0] * n
    for _ in range(settle):
        call()
    gc.disable()
    try:
        for index in range(n):
            before = clock()
            call()
            samples[index] = clock() - before
    finally:
        gc.enable()
    return {"samples_ns": samples}


def describe(error: BaseException) -> Message:
    """An exception as a message: graphopt's own keep their text and hint, others get their class in front."""
    if isinstance(error, GraphoptError):
        return {"error": error.message, "hint": error.hint}
    text = " ".join(str(error).split())
    return {"error": f"{type(error).__name__}: {text}" if text else type(error).__name__, "hint": ""}


def serve(requests: int, replies: int) -> None:
    """Answer requests until the other side closes the pipe."""
    call: Call | None = None
    while True:
        try:
            request = receive(requests)
        except EOFError:
            return
        try:
            if request["do"] == "start":
                call, answer = start(request)
            elif call is None:
                raise RuntimeError("asked to run before the engine was built")
            elif request["do"] == "warm":
                answer = warm_up(call, request["calls"], request["seconds"])
            else:
                answer = run_block(call, request["n"], request["settle"])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an engine may raise anything; it is the answer
            traceback.print_exc()
            answer = describe(error)
        sys.stdout.flush()
        send(replies, answer)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, even while it is stopped (Linux only)."""
    if sys.platform != "linux":
        return
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main(arguments: list[str]) -> None:
    """Serve on the two descriptors named by ``arguments``."""
    requests, replies, parent = map(int, arguments)
    for descriptor in (requests, replies):
        os.set_inheritable(descriptor, False)
    die_with(parent)
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        serve(requests, replies)
    # Destructors of half-dead runtimes have nothing left to do here and may hang.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
