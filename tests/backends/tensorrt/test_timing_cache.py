"""Timings of one machine are never handed to TensorRT on another."""

import json

import pytest

from graphopt.backends.tensorrt.building import timing_cache
from graphopt.backends.tensorrt.building.timing_cache import (
    TimingCache,
    entry_name,
    read_entries,
    write_entry,
)
from graphopt.backends.tensorrt.module import find_library
from graphopt.errors import BackendError
from graphopt.targets.gpu import Gpu
from tests.backends.tensorrt.fake_library import Config, fake_tensorrt

H100 = Gpu("NVIDIA H100 80GB HBM3", "sm_90", 80 << 30, "580.95")
H200 = Gpu("NVIDIA H200", "sm_90", 140 << 30, "580.95")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """``cache(version, gpu)`` is the entry of a machine in one file they share."""

    def of(version="11.4.0.106", gpu=H100):
        monkeypatch.setattr(timing_cache, "gpus_here", lambda: (gpu,) if gpu is not None else ())
        return TimingCache.for_library(fake_tensorrt(version)[0], str(tmp_path / "folder" / "timings.jsonl"))

    return of


def given(entry):
    """What TensorRT gets to see of the file."""
    config = Config()
    assert entry.use(config) == ()
    return config.given.data


def test_timings_are_kept_and_given_back(cache):
    entry, config = cache(), Config()
    entry.use(config)
    assert config.given.data == b""
    config.timings = b"what was timed"
    entry.keep(config)
    assert given(cache()) == b"what was timed"


def test_timings_of_another_machine_are_not_seen(cache):
    entry, config = cache(), Config()
    entry.use(config)
    entry.keep(config)
    assert given(cache(gpu=H200)) == b""  # the same architecture, another card
    assert given(cache(version="11.5.0.1")) == b""
    assert given(cache(gpu=Gpu(H100.name, "sm_90", H100.memory_bytes, "590.10"))) == b""
    assert given(cache()) == b"new timings"


def test_entries_of_several_machines_lie_side_by_side(cache):
    for gpu, timings in ((H100, b"1"), (H200, b"2"), (H100, b"3")):
        entry, config = cache(gpu=gpu), Config()
        entry.use(config)
        config.timings = timings
        entry.keep(config)
    assert given(cache(gpu=H100)) == b"3"
    assert given(cache(gpu=H200)) == b"2"
    assert len(read_entries(entry.path)) == 2


def test_tensorrt_rtx_is_not_given_a_cache(tmp_path):
    entry = TimingCache.for_library(find_library("tensorrt_rtx"), str(tmp_path / "timings"))
    assert entry.use(None) == (
        "TensorRT-RTX times nothing while it builds: the timing cache is left as it is",
    )
    entry.keep(None)
    assert not entry.path.exists()


@pytest.mark.parametrize("text", [b"\x00\xff\x17raw cache", b"{}\n", b'{"key": 1, "data": "!"}\n', b"[1]\n"])
def test_a_file_that_is_not_ours_is_neither_read_nor_overwritten(tmp_path, text):
    path = tmp_path / "trtexec.cache"
    path.write_bytes(text)
    with pytest.raises(BackendError, match=r"trtexec\.cache is not a timing cache of graphopt"):
        read_entries(path)
    with pytest.raises(BackendError, match="is not a timing cache"):
        write_entry(path, {"gpu": "x"}, b"timings")
    assert path.read_bytes() == text


def test_a_damaged_entry_is_left_out(tmp_path):
    path, key = tmp_path / "timings", {"gpu": "a"}
    write_entry(path, key, b"timings")
    entry = json.loads(path.read_text()) | {"sha256": "0" * 64}
    path.write_text(json.dumps(entry) + "\n")
    assert read_entries(path) == {}
    write_entry(path, key, b"again")
    assert read_entries(path) == {entry_name(key): b"again"}


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match="timing cache timings cannot be written"):
        write_entry(tmp_path / "file" / "timings", {"gpu": "a"}, b"")
