"""Read what Linux says of the CPU in /sys: cache sizes and which logical CPUs share a core."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path

from graphopt.targets.target import Caches

CPU_ROOT = Path("/sys/devices/system/cpu")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_cpu_list(text: str) -> frozenset[int]:
    """``"0-3,8"`` → {0, 1, 2, 3, 8}; parts that are not ranges of numbers are left out."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        if match := re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip()):
            first, last = int(match[1]), int(match[2] or match[1])
            cpus.update(range(first, last + 1))
    return frozenset(cpus)


def parse_size(text: str) -> int:
    """``"48K"`` → 49152; 0 for what is no size."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text.strip())
    return int(match[1]) * _UNITS[match[2]] if match else 0


def read_caches(cpu: int, root: Path = CPU_ROOT) -> Caches:
    """Data and unified cache sizes that logical CPU ``cpu`` sees; zeros for levels not listed."""
    sizes: dict[int, int] = {}
    for index in sorted((root / f"cpu{cpu}" / "cache").glob("index*")):
        if _read(index / "type") in ("Data", "Unified"):
            sizes[parse_size(_read(index / "level"))] = parse_size(_read(index / "size"))
    return Caches(l1d=sizes.get(1, 0), l2=sizes.get(2, 0), l3=sizes.get(3, 0))


def read_cores(cpus: Iterable[int], root: Path = CPU_ROOT) -> frozenset[frozenset[int]]:
    """The given logical CPUs grouped by physical core; a CPU without topology is its own core."""
    cores: set[frozenset[int]] = set()
    wanted = frozenset(cpus)
    for cpu in wanted:
        topology = root / f"cpu{cpu}" / "topology"
        siblings = parse_cpu_list(
            _read(topology / "core_cpus_list") or _read(topology / "thread_siblings_list")
        )
        cores.add((siblings & wanted) | {cpu})
    return frozenset(cores)


def online_cpus(root: Path = CPU_ROOT) -> frozenset[int]:
    """Logical CPUs of the machine, whatever this process may use of them."""
    return parse_cpu_list(_read(root / "online")) or frozenset(range(os.cpu_count() or 1))


def fallback_caches() -> Caches:
    """Cache sizes from the C library, for systems whose /sys lists none (some containers)."""

    def ask(name: str) -> int:
        if name not in os.sysconf_names:
            return 0
        try:
            return max(0, os.sysconf(name))
        except OSError:
            return 0

    return Caches(ask("SC_LEVEL1_DCACHE_SIZE"), ask("SC_LEVEL2_CACHE_SIZE"), ask("SC_LEVEL3_CACHE_SIZE"))


def parse_model_name(cpuinfo: str) -> str:
    """The CPU's name in the text of /proc/cpuinfo, or an empty string."""
    for key in ("model name", "Model", "Hardware", "cpu model"):
        if match := re.search(rf"^{key}\s*:\s*(.+?)\s*$", cpuinfo, re.MULTILINE):
            return match[1]
    return ""


def read_model_name(path: Path = Path("/proc/cpuinfo")) -> str:
    """The CPU's name as the system knows it; the architecture where it knows none."""
    return parse_model_name(_read(path)) or platform.processor() or platform.machine()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
