"""The process engines are built in: one JSON request a line on stdin, one JSON reply a line on stdout.

TensorRT prints what it likes, holds its memory until the process ends, and on some networks aborts: none
of that may happen to the compiler. Imports no compiler room.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from graphopt.backends.tensorrt.building.engine import build
from graphopt.backends.tensorrt.building.request import BuildRefused, BuildRequest
from graphopt.errors import GraphoptError

IDLE_SECONDS = 60.0


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to one request, as plain JSON types: ``built``, ``refused`` or ``failed``."""
    try:
        return {"built": asdict(build(BuildRequest.from_json(request)))}
    except BuildRefused as refused:
        return {
            "refused": {
                "message": refused.message,
                "stage": refused.stage,
                "reasons": dict(refused.reasons),
                "indices": [[index, text] for index, text in refused.indices.items()],
            }
        }
    except GraphoptError as error:
        return {"failed": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}}
    except MemoryError:
        return {"failed": {"kind": "BackendError", "message": "there is too little memory", "hint": ""}}


def main() -> None:
    """Answer until stdin ends, or nothing was asked for a while."""
    # Replies have a pipe of their own: what libraries print to stdout goes where stderr goes.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # A program that goes on without compiling gets the memory back.
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0] and (line := sys.stdin.readline()):
        replies.write(json.dumps(answer(json.loads(line))) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
