"""Messages between a measuring process and its workers: JSON behind a length, over two pipes.

The pipes are not stdin or stdout, so a library that prints cannot break the conversation; bytes
that are no message are noticed by the magic word and refused.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from collections.abc import Callable
from typing import Any

MAGIC = b"gopt"
HEADER = struct.Struct("<4sI")
LARGEST_MESSAGE = 1 << 28
_LIVENESS_SECONDS = 0.25

Message = dict[str, Any]


def send(descriptor: int, message: Message) -> None:
    """Write one message; raises BrokenPipeError when the reader is gone."""
    body = json.dumps(message, separators=(",", ":")).encode()
    data = memoryview(HEADER.pack(MAGIC, len(body)) + body)
    while data:
        data = data[os.write(descriptor, data) :]


def receive(
    descriptor: int, *, seconds: float | None = None, alive: Callable[[], bool] | None = None
) -> Message:
    """Read one message.

    Args:
        descriptor: the reading end of a pipe.
        seconds: how long to wait for the whole message; None waits forever.
        alive: asked about four times a second whether the writer still lives, because a child of
            the writer may hold the pipe open after the writer died.

    Raises:
        EOFError: the writer closed the pipe or died.
        TimeoutError: the message was not complete in time.
        ValueError: what arrived is no message.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    magic, size = HEADER.unpack(_read(descriptor, HEADER.size, deadline, alive))
    if magic != MAGIC or size > LARGEST_MESSAGE:
        raise ValueError("bytes that are no message")
    body = _read(descriptor, size, deadline, alive)
    try:
        message = json.loads(body)
    except ValueError:
        raise ValueError("a message that is no JSON") from None
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")
    return message


def _read(descriptor: int, size: int, deadline: float | None, alive: Callable[[], bool] | None) -> bytes:
    data = bytearray()
    while len(data) < size:
        _wait(descriptor, deadline, alive)
        piece = os.read(descriptor, min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError("the pipe was closed")
        data += piece
    return bytes(data)


def _wait(descriptor: int, deadline: float | None, alive: Callable[[], bool] | None) -> None:
    """Return when there is something to read (the end of the pipe included)."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if deadline is None and alive is None:
        poll.poll()
        return
    while True:
        # Asked before the read: what a writer wrote before it died must still be read.
        lives = alive is None or alive()
        left = _LIVENESS_SECONDS if deadline is None else deadline - time.monotonic()
        pause = min(max(left, 0.0), _LIVENESS_SECONDS) if lives else 0.0
        if poll.poll(pause * 1000):
            return
        if not lives:
            raise EOFError("the writer died")
        if left <= 0:
            raise TimeoutError("no answer in time")
