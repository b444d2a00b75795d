"""Compare the machine an artifact was compiled for with this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIX = "compile the model here for this machine's own choices"


def machine_notice(target: Mapping[str, Any]) -> str:
    """One sentence when the artifact was compiled for another CPU, else an empty string.

    CPU regions run on any machine: the runtime repacks weights for the instruction set it finds. What
    does not carry over is which choices were the fastest. A backend whose regions do not carry over
    refuses in its loader.
    """
    if target.get("kind") != "cpu":
        return ""
    from graphopt.targets.host import host_target

    host = host_target().to_json()
    for key in ("arch", "isa", "model_name"):
        there, here = target.get(key), host.get(key)
        if there and here and there != here:
            return f"compiled for {there}, running on {here}: {_FIX}"
    return ""
