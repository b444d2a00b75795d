"""Engines are built in a process of their own, which is started when first needed and kept."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from functools import cache
from typing import IO, Any

from graphopt import errors
from graphopt.backends.tensorrt.building.request import BuildRefused, BuildReply, BuildRequest
from graphopt.errors import BackendError, GraphoptError


class Builder:
    """The building process. Requests are answered one after the other; a process that dies is replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[bytes] | None = None

    def build(self, request: BuildRequest) -> BuildReply:
        """Build one engine.

        Raises:
            BuildRefused: TensorRT does not take the model, or died of it.
            BackendError, TargetError, UsageError: TensorRT is not there, or the options are not for it.
        """
        with self._lock:
            try:
                reply = self._ask(request.to_json()) or self._ask(request.to_json())
                return _read_reply(reply or _NO_ANSWER)
            except (KeyboardInterrupt, SystemExit):
                self.stop()
                raise

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        if self._said is not None:
            self._said.close()
            self._said = None

    def _ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The reply; None from a process that had ended in peace, as it does when idle for long."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line.endswith("\n"):
            return dict(json.loads(line))
        if process.wait() == 0:
            return None
        raise self._death(process)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by ``stop``)
            # -P: a file of the working directory must not stand in for a module.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                encoding="utf-8",
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        return self._process

    def _death(self, process: subprocess.Popen[str]) -> GraphoptError | BuildRefused:
        """What to raise for a process that ended without an answer."""
        status, text = process.wait(), b""
        if self._said is not None:
            self._said.seek(0)
            text = self._said.read()
        self.stop()
        lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
        last = f": {lines[-1][:200]}" if lines else ""
        if status > 0:
            return BackendError(f"the building process ended with status {status}{last}", "graphopt doctor")
        return BuildRefused(f"TensorRT died of it ({signal.Signals(-status).name}){last}", "process")


_NO_ANSWER = {
    "failed": {
        "kind": "BackendError",
        "message": "the building process ends before it answers",
        "hint": "graphopt doctor",
    }
}


@cache
def shared_builder() -> Builder:
    """The building process of this program; it ends with it."""
    builder = Builder()
    atexit.register(builder.stop)
    return builder


def _read_reply(reply: dict[str, Any]) -> BuildReply:
    if built := reply.get("built"):
        return BuildReply(built["facts"], tuple(built["notes"]))
    if refused := reply.get("refused"):
        raise BuildRefused(
            refused["message"],
            refused["stage"],
            reasons=refused["reasons"],
            indices=dict(refused["indices"]),
        )
    failed = reply["failed"]
    kind = getattr(errors, failed["kind"], BackendError)
    raise kind(failed["message"], failed["hint"])
