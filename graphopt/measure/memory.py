"""How much memory a process has used at most, without resetting anything.

``VmHWM`` of ``/proc/<pid>/status`` is used and not ``ru_maxrss``: Linux carries the latter over
``exec``, so a small child of a large parent would report the parent's memory as its own.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from graphopt.errors import BackendError


def peak_rss_bytes(pid: int | None = None) -> int:
    """The largest resident set process ``pid`` (None: this one) has had so far, in bytes.

    A stopped process can be asked as well as a running one.

    Raises:
        BackendError: there is no such process, or this system does not tell.
    """
    try:
        return _status_bytes(os.getpid() if pid is None else pid, "VmHWM:")
    except OSError as error:
        if pid is None and sys.platform != "linux":
            scale = 1 if sys.platform == "darwin" else 1024
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
        raise BackendError(f"the peak memory of process {pid} cannot be read: {error}") from None


def tree_peak_rss_bytes(pid: int) -> int:
    """The peaks of ``pid`` and of its living descendants, added up, in bytes.

    An upper bound of what they held together: they need not have peaked at one time, and pages they
    share count once for each.

    Raises:
        BackendError: there is no such process, or this system does not tell.
    """
    import psutil

    total = peak_rss_bytes(pid)
    try:
        family = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return total
    for child in family:
        try:
            total += _status_bytes(child.pid, "VmHWM:")
        except OSError:  # it ended between the two looks
            continue
    return total


def _status_bytes(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    for line in status.splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"it has no {field.rstrip(':')} (it has ended)")
