"""The machine's measured ceilings: how fast its arithmetic and its memory can be at best."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter

from graphopt.errors import TargetError
from graphopt.targets.ceiling_records import SCHEMA, Bandwidth, Ceilings, Measured, Peak, Rate
from graphopt.targets.host import host_target, native_core
from graphopt.targets.target import Caches
from graphopt.targets.threads import available_threads

DTYPES = ("float64", "float32", "bfloat16", "int8")
KERNELS = ("stream_read", "stream_copy")
_SECONDS, _SAMPLES, _ATTEMPTS, _WARM_UP_SECONDS = 1.5e-3, 5, 3, 20e-3
_MEMORY_LEAST, _MEMORY_MOST = 64 << 20, 1 << 30


def measure_ceilings(*, refresh: bool = False, cache_folder: Path | None = None) -> Ceilings:
    """Peaks per instruction set and dtype, and bandwidths per memory level, of this machine.

    Takes one to two seconds the first time; then the figures come from a file in the user's cache
    folder, one per model of machine, number of threads and version of the native core. Figures taken
    while the machine was busy (``Ceilings.noisy``) are returned but not kept.

    Args:
        refresh: measure even if there is a file.
        cache_folder: where the file lies; the user's cache folder by default.

    Raises:
        TargetError: the native core cannot be loaded, or the system refused memory or threads.
    """
    threads = available_threads()
    path = ceilings_path(threads, cache_folder)
    if not refresh and (kept := _read(path)) is not None:
        return kept
    ceilings = _measure(threads)
    if not ceilings.noisy:
        _write(path, ceilings)
    return ceilings


def ceilings_path(threads: int, cache_folder: Path | None = None) -> Path:
    """The file that keeps this machine's ceilings for so many threads."""
    if cache_folder is None:
        from platformdirs import user_cache_path

        cache_folder = user_cache_path("graphopt")
    name = f"{host_target().hardware_exact}-{threads}t-{native_core().version()}.json"
    return cache_folder / "ceilings" / name


def working_sets(caches: Caches, threads: int, memory: int | None = None) -> dict[str, int]:
    """Bytes per thread that fill each level of the memory hierarchy well, and lie in no faster one.

    Args:
        caches: sizes; a level of size 0 is left out.
        threads: how many threads share the last level and the memory.
        memory: bytes of memory free for all of them, or None where not known.

    Returns:
        {"L1": …, "L2": …, "L3": …, "memory": …}, each a multiple of 4096.
    """
    sets: dict[str, int] = {}
    inner = 0
    for name, size, sharers in (("L1", caches.l1d, 1), ("L2", caches.l2, 1), ("L3", caches.l3, threads)):
        wanted = _whole_pages(size // 2 // sharers)
        if wanted > inner:
            sets[name], inner = wanted, size
    total = max(_MEMORY_LEAST, min(_MEMORY_MOST, 3 * max(caches.l3, caches.l2)))
    if memory is not None:
        total = min(total, memory // 4)
    sets["memory"] = max(4096, _whole_pages(total // threads))
    return sets


def _measure(threads: int) -> Ceilings:
    begin = perf_counter()
    host, native = host_target(), native_core()
    modes = (1, threads) if threads > 1 else (1,)
    try:
        native.measure_clock(seconds=_WARM_UP_SECONDS, samples=1)  # an idle core takes its time to speed up
        clock = _steady(native.measure_clock)
        peaks = [
            Peak(isa, dtype, _steady(partial(native.measure_peak, dtype, isa=isa, threads=n)))
            for isa in native.supported_isas()
            for dtype in _dtypes_of(isa)
            for n in modes
        ]
        bandwidths = [
            Bandwidth(
                level, kernel, size, _steady(partial(native.measure_bandwidth, kernel, size, threads=n))
            )
            for n in modes
            for level, size in working_sets(host.caches, n, _free_memory()).items()
            for kernel in KERNELS
        ]
    except RuntimeError as error:
        hint = "free some memory, then: graphopt doctor"
        raise TargetError(f"the ceilings cannot be measured: {error}", hint) from error
    return Ceilings(
        hardware_exact=host.hardware_exact,
        isa=host.isa,
        threads=threads,
        clock=clock,
        peaks=tuple(peaks),
        bandwidths=tuple(bandwidths),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        core_version=native.version(),
        seconds=round(perf_counter() - begin, 3),
    )


def _steady(measure: Callable[..., Measured]) -> Rate:
    """The steadiest of up to three measurements; one is enough where its samples agree."""
    rates: list[Rate] = []
    for _ in range(_ATTEMPTS):
        rates.append(Rate.of(measure(seconds=_SECONDS, samples=_SAMPLES)))
        if not rates[-1].noisy:
            break
    return min(rates, key=lambda rate: rate.spread)


def _dtypes_of(isa: str) -> tuple[str, ...]:
    """The dtypes an instruction set has arithmetic for, told by the features it is made of."""
    features = set(native_core().isa_features(isa))
    has = {
        "bfloat16": bool(features & {"avx512_bf16", "bf16"}),
        "int8": bool(features & {"avx_vnni", "avx512_vnni", "asimddp"}),
    }
    return tuple(dtype for dtype in DTYPES if has.get(dtype, True))


def _whole_pages(size: int) -> int:
    return size // 4096 * 4096


def _free_memory() -> int | None:
    import psutil

    return int(psutil.virtual_memory().available)


def _read(path: Path) -> Ceilings | None:
    """The figures kept in a file; None where there is none or it is not what this version writes."""
    try:
        return replace(Ceilings.from_json(json.loads(path.read_text(encoding="utf-8"))), kept_in=str(path))
    except (OSError, ValueError, TargetError):
        return None


def _write(path: Path, ceilings: Ceilings) -> None:
    """Keep the figures; a folder that cannot be written only means measuring again."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"schema": SCHEMA, **ceilings.to_json()}, file, indent=1)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
