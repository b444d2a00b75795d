"""Compare the machine an artifact was compiled for with this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphopt.targets.host import host_target


def machine_notice(target: Mapping[str, Any]) -> str:
    """One sentence when the artifact was compiled for another class of CPU, else an empty string.

    CPU regions run on any machine: the runtime repacks weights for the instruction set it finds. What
    does not carry over is which choices were the fastest. A backend whose regions do not carry over
    at all refuses in its own loader.

    Args:
        target: as ``Target.to_json`` wrote it into the manifest; untrusted.
    """
    there = target.get("hardware_class")
    if target.get("kind") != "cpu" or not isinstance(there, str):
        return ""
    here = host_target().hardware_class
    if here == there:
        return ""
    return f"compiled for {there[:100]}, running on {here}: right, but maybe not the fastest; compile it here"
