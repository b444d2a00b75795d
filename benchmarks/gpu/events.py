"""Time one engine by the GPU's own clock, in a process of its own."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

from graphopt.errors import BackendError, GraphoptError
from graphopt.measure.engine import Engine
from graphopt.measure.stats import summarize

WARM_UP, TIMED = 50, 300
LIMIT_SECONDS = 900


def event_times(engine: Engine, *, warm_up: int = WARM_UP, timed: int = TIMED) -> dict[str, Any]:
    """Nanoseconds of one inference between two events: median, spread and the rest of a summary."""
    module, _, function = engine.factory.partition(":")
    call = getattr(importlib.import_module(module), function)(**engine.arguments)
    call.event_times(warm_up)
    return summarize(call.event_times(timed)).to_json()


def event_times_in_process(engine: Engine) -> dict[str, Any]:
    """The same in a fresh process; raises BackendError with its last line when it fails."""
    text = json.dumps({"factory": engine.factory, "arguments": dict(engine.arguments)})
    command = [sys.executable, "-m", "benchmarks.gpu.events", engine.name, text]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BackendError(f"{engine.name} did not finish in {LIMIT_SECONDS} s") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise BackendError(lines[-1] if lines else f"{engine.name} ended with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _child(name: str, text: str) -> int:
    described = json.loads(text)
    try:
        print(json.dumps(event_times(Engine(name, described["factory"], described["arguments"]))), flush=True)
    except GraphoptError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_child(*sys.argv[1:]))
