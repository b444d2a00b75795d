"""NVIDIA GPUs of this machine, as the driver's own tool lists them."""

from __future__ import annotations

import re
import shutil
import subprocess

from graphopt.targets import cuda_driver
from graphopt.targets.gpu import Gpu, GpuQuery

_QUERY = ("--query-gpu=name,compute_cap,memory.total,driver_version", "--format=csv,noheader,nounits")
_TIMEOUT_SECONDS = 20.0  # the driver of an idle GPU can take several to wake up


def find_gpus() -> GpuQuery:
    """Ask the driver for its GPUs; never raises. A GPU that CUDA_VISIBLE_DEVICES hides is still listed.

    Containers may have the driver without its tool, and the tool of a Jetson leaves out what is asked:
    then the driver's library is.
    """
    query = _ask_tool()
    if query is not None and query.gpus:
        return query
    driver = cuda_driver.cuda_driver()
    if query is None or driver.gpus:
        return GpuQuery(driver.gpus, driver.reason)
    return query


def _ask_tool() -> GpuQuery | None:
    """What nvidia-smi lists, or None where it is not installed."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        done = subprocess.run(
            (tool, *_QUERY), capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return GpuQuery((), f"nvidia-smi did not answer: {type(error).__name__}")
    if done.returncode != 0:
        said = " ".join((done.stdout + " " + done.stderr).split())
        return GpuQuery((), f"nvidia-smi failed: {said[:200] or f'exit status {done.returncode}'}")
    gpus = parse_gpus(done.stdout)
    return GpuQuery(gpus, "" if gpus else "nvidia-smi lists no GPU")


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """The lines ``name, compute capability, memory in MiB, driver``; other lines are left out."""
    gpus: list[Gpu] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.rsplit(",", 3)]
        if len(cells) != 4 or not (capability := re.fullmatch(r"(\d+)\.(\d)", cells[1])):
            continue
        memory = int(cells[2]) << 20 if cells[2].isdigit() else 0
        gpus.append(Gpu(cells[0], f"sm_{capability[1]}{capability[2]}", memory, cells[3]))
    return tuple(gpus)
