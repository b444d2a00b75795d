"""Ceilings: what is measured, what is kept on disk, and working sets that fit their level."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphopt import _kernels
from graphopt.errors import TargetError
from graphopt.targets import ceilings as module
from graphopt.targets.ceiling_records import Bandwidth, Ceilings, Peak, Rate
from graphopt.targets.ceilings import ceilings_path, measure_ceilings, working_sets
from graphopt.targets.host import host_target
from graphopt.targets.target import Caches
from graphopt.targets.threads import available_threads

STEADY = Rate(2.0, 1.9, 2.1, 5, 1)
DISTURBED = Rate(2.0, 1.0, 2.1, 5, 1)
SAMPLE = Ceilings(
    hardware_exact="here",
    isa="avx2",
    threads=2,
    clock=STEADY,
    peaks=(Peak("x86-64", "float32", STEADY), Peak("avx2", "float32", Rate(8.0, 8.0, 8.0, 5, 1))),
    bandwidths=(Bandwidth("L1", "stream_copy", 4096, STEADY),),
    date="2026-01-01T00:00:00+00:00",
    core_version="0.1.0",
    seconds=1.0,
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Ceilings:
    return measure_ceilings(cache_folder=tmp_path_factory.mktemp("cache"))


def test_everything_the_machine_has_is_measured(measured: Ceilings) -> None:
    modes = {1, available_threads()}
    for isa in _kernels.supported_isas():
        for threads in modes:
            for dtype in ("float32", "float64"):
                assert measured.peak(dtype, isa=isa, threads=threads) is not None
    assert (measured.peak("int8", isa="x86-64")) is None
    sets = working_sets(host_target().caches, 1)
    assert {b.level for b in measured.bandwidths if b.rate.threads == 1} == set(sets)
    assert measured.peak("float32") == measured.peak("float32", isa=_kernels.best_isa(), threads=1)
    assert measured.bandwidth("L9") is None


def test_json_there_and_back(measured: Ceilings) -> None:
    for ceilings in (SAMPLE, measured):
        assert Ceilings.from_json(json.loads(json.dumps(ceilings.to_json()))) == ceilings


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: value.pop("clock"),
        lambda value: value.update(schema=99),
        lambda value: value.update(peaks=None),
        lambda value: value.update(threads="many"),
        lambda value: value["clock"].update(median=-1.0),
        lambda value: value["clock"].update(median="nan"),
    ],
)
def test_other_json_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    value = SAMPLE.to_json()
    spoil(value)
    with pytest.raises(TargetError):
        Ceilings.from_json(value)
    with pytest.raises(TargetError):
        Ceilings.from_json([value])


def test_kept_on_disk_unless_disturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        replace(SAMPLE, peaks=(Peak("avx2", "float32", DISTURBED),)),
        SAMPLE,
        replace(SAMPLE, seconds=2.0),
    ]
    calls = iter(answers)
    monkeypatch.setattr(module, "_measure", lambda threads: next(calls))
    path = ceilings_path(available_threads(), tmp_path)
    assert measure_ceilings(cache_folder=tmp_path).noisy
    assert not path.exists()
    assert measure_ceilings(cache_folder=tmp_path) == SAMPLE
    assert measure_ceilings(cache_folder=tmp_path) == replace(SAMPLE, kept_in=str(path))
    assert measure_ceilings(cache_folder=tmp_path, refresh=True).seconds == 2.0
    assert measure_ceilings(cache_folder=tmp_path).seconds == 2.0
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}'])
def test_a_damaged_file_is_measured_again(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_measure", lambda threads: SAMPLE)
    path = ceilings_path(available_threads(), tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert measure_ceilings(cache_folder=tmp_path) == SAMPLE
    assert measure_ceilings(cache_folder=tmp_path).kept_in == str(path)


def test_a_folder_that_cannot_be_written_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_measure", lambda threads: SAMPLE)
    (tmp_path / "file").write_text("in the way")
    assert measure_ceilings(cache_folder=tmp_path / "file") == SAMPLE


def test_a_disturbed_figure_is_measured_again() -> None:
    answers = iter([DISTURBED, STEADY, DISTURBED])
    assert module._steady(lambda **_: next(answers)) == STEADY


def test_a_refusal_of_the_system_is_a_target_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(module, "_steady", refuse)
    with pytest.raises(TargetError, match="cannot be measured: no memory"):
        module._measure(1)


@pytest.mark.parametrize("threads", [1, 2, 64])
@pytest.mark.parametrize(
    "caches",
    [
        Caches(32 << 10, 512 << 10, 16 << 20),
        Caches(48 << 10, 2 << 20, 260 << 20),
        Caches(64 << 10, 1 << 20),
        Caches(),
    ],
)
def test_working_sets_fit(caches: Caches, threads: int) -> None:
    sets = working_sets(caches, threads, memory=64 << 30)
    assert all(size > 0 and size % 4096 == 0 for size in sets.values())
    assert list(sets)[-1] == "memory"
    assert sets["memory"] * threads > 2 * caches.l3 or sets["memory"] * threads >= (1 << 30) - 4096 * threads
    if "L1" in sets:
        assert sets["L1"] <= caches.l1d // 2
        assert caches.l1d < sets["L2"] <= caches.l2 // 2
    if "L3" in sets:
        assert caches.l2 < sets["L3"] <= caches.l3 // 2 // threads
    assert "L3" in sets or caches.l3 // 2 // threads <= caches.l2


def test_working_sets_leave_memory_free() -> None:
    assert working_sets(Caches(l3=32 << 20), 2, memory=100 << 20)["memory"] * 2 <= 25 << 20
