"""The machine in words and in JSON, so that a result can be read elsewhere."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

# Everything an inference kernel might be compiled for.
_FLAGS = re.compile(r"^(sse4_[12]|avx.*|fma|f16c|bmi[12]|amx.*|gfni|neon|asimd.*|sve.*|i8mm|bf16)$")


def machine() -> dict[str, Any]:
    """Processor, instruction set flags, processors this process may use, memory and kernel."""
    info = _cpuinfo()
    flags = (info.get("flags") or info.get("Features") or "").split()
    return {
        "processor": info.get("model name") or platform.processor() or platform.machine(),
        "family": f"{info.get('cpu family', '?')}/{info.get('model', '?')}/{info.get('stepping', '?')}",
        "architecture": platform.machine(),
        "isa_flags": sorted(flag for flag in flags if _FLAGS.match(flag)),
        "virtual": "hypervisor" in flags,
        "cores": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
    }


def machine_words(found: dict[str, Any]) -> str:
    """The same in one line."""
    notable = [
        flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16") if flag in found["isa_flags"]
    ]
    where = " (virtual)" if found["virtual"] else ""
    return (
        f"{found['processor']}{where}, {found['cores']} cores, {' '.join(notable) or found['architecture']}"
    )


def slug(found: dict[str, Any]) -> str:
    """The machine as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", f"{found['processor']} {found['cores']}c".lower()).strip("-")


def versions(distributions: list[str]) -> dict[str, str]:
    """Version of Python and of each distribution that is installed."""
    found = {"python": platform.python_version()}
    for name in sorted({*distributions, "onnx", "numpy"}):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries of ``/proc/cpuinfo``."""
    found: dict[str, str] = {}
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return found
    for line in text.split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        found[key.strip()] = value.strip()
    return found


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        found[f"L{level}{'i' if kind == 'Instruction' else 'd' if level == '1' else ''}"] = size
    return found
