"""How many threads this process should use: affinity, physical cores and the container's CPU quota."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from graphopt.targets.cpu_files import CPU_ROOT, read_cores

CGROUP_ROOT = Path("/sys/fs/cgroup")


def available_threads() -> int:
    """Threads worth running at once, at least 1.

    One per physical core among the CPUs that affinity allows (two threads on one core share its
    arithmetic units), cut to the whole CPUs of the container's quota: threads beyond it would not run
    more, they would be stopped together for the rest of each scheduling period.
    """
    return thread_count(len(read_cores(allowed_cpus(), CPU_ROOT)), cpu_quota())


def thread_count(cores: int, quota: float | None) -> int:
    """Threads for so many usable cores under a quota in CPUs; None: no quota."""
    limit = cores if quota is None else min(cores, math.floor(quota))
    return max(1, limit)


def allowed_cpus() -> frozenset[int]:
    """Logical CPUs this process may run on."""
    try:
        return frozenset(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not Linux, or forbidden by a sandbox
        return frozenset(range(os.cpu_count() or 1))


def cpu_quota(root: Path = CGROUP_ROOT, membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """CPUs that the cgroups of this process grant it, or None where nothing limits it.

    Every ancestor counts, so the least quota on the way up is the answer. Both cgroup versions are
    read, because hybrid systems have the CPU controller in either.
    """
    paths = cgroup_paths(_read(membership))
    quotas: list[float] = []
    for folder in _folders(root, paths.get("", "/")):
        quotas += _known(quota_v2(_read(folder / "cpu.max")))
    for mount in ("cpu", "cpu,cpuacct", "cpuacct,cpu"):
        for folder in _folders(root / mount, paths.get("cpu", "/")):
            quotas += _known(
                quota_v1(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))
            )
    return min(quotas, default=None)


def cgroup_paths(text: str) -> dict[str, str]:
    """/proc/self/cgroup as {controller: path}; the version 2 hierarchy has the controller ""."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                paths[controller] = parts[2]
    return paths


def quota_v2(text: str) -> float | None:
    """CPUs that a cgroup v2 ``cpu.max`` ("150000 100000", "max 100000") grants; None: no limit."""
    quota, _, period = text.strip().partition(" ")
    return quota_v1(quota, period or "100000")


def quota_v1(quota: str, period: str) -> float | None:
    """CPUs that ``cpu.cfs_quota_us`` over ``cpu.cfs_period_us`` grants; None: no limit (-1) or no numbers."""
    try:
        granted, every = int(quota), int(period)
    except ValueError:
        return None
    return granted / every if granted > 0 and every > 0 else None


def _folders(root: Path, path: str) -> Iterator[Path]:
    """The cgroup's folder and its ancestors. Inside a container the path may be the host's while the
    mount shows only the container's own part, so folders that are not there are no error."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    for length in range(len(parts), -1, -1):
        yield root.joinpath(*parts[:length])


def _known(quota: float | None) -> list[float]:
    return [] if quota is None else [quota]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
