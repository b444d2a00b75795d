"""Open an artifact, a folder or one packed file, and check all of it before anything is used.

Artifacts are untrusted input. Only files the manifest lists are read, each a regular file inside the
folder (no link is followed below it), of the listed size and digest. Nothing is allocated by a number
read from the artifact: contents are mapped, and a size that differs from the file's own is refused.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphopt.artifact.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    Manifest,
    parse_manifest,
)
from graphopt.artifact.packed import members
from graphopt.backends.executable import WEIGHTS_NAME
from graphopt.errors import ArtifactError

_RECOMPILE = "compile the model again"


@dataclass(frozen=True)
class Artifact:
    """A checked artifact.

    Attributes:
        path: the folder or packed file.
        packed: whether it is one file.
        manifest: what it holds.
        contents: every listed file, mapped.
        identity: of the file or folder on its file system, to notice a replacement.
    """

    path: Path
    packed: bool
    manifest: Manifest
    contents: Mapping[str, memoryview]
    identity: tuple[int, int, int]

    def is_current(self) -> bool:
        """Whether ``path`` still leads to what was opened, not to an artifact that took its place since."""
        try:
            return _identity(self.path) == self.identity
        except OSError:
            return False

    def read(self, name: str) -> memoryview:
        """The bytes of one file, mapped and read-only; ArtifactError when there is none."""
        if name not in self.contents:
            raise ArtifactError(f"{self.path} has no file '{name}'")
        return self.contents[name]

    @property
    def weights(self) -> memoryview | None:
        """The weights file, mapped, or None when every weight is inside the regions."""
        return self.contents.get(WEIGHTS_NAME)


def open_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Open and check an artifact.

    Args:
        path: a ``.gopt`` folder or packed file.

    Raises:
        ArtifactError: there is none, it is damaged, foreign or of an unknown version: one line.
    """
    place = Path(path)
    try:
        while True:
            before = _identity(place)
            try:
                return (_open_folder if place.is_dir() else _open_packed)(place, before)
            except ArtifactError:
                # A writer may have put a new artifact here meanwhile; then that one is asked for.
                if _identity(place) == before:
                    raise
    except FileNotFoundError as error:
        raise ArtifactError(
            f"there is no artifact at {place}", "graphopt compile model.onnx -o model.gopt"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ArtifactError(f"cannot open {place}: {reason}") from error


def _identity(place: Path) -> tuple[int, int, int]:
    status = place.stat()
    # The number alone may have been given to a newer folder: file systems use them again at once.
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _open_folder(place: Path, identity: tuple[int, int, int]) -> Artifact:
    root = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        data = _map(root, MANIFEST_NAME, place)
        if data is None:
            raise ArtifactError(f"{place} is not a graphopt artifact: it has no {MANIFEST_NAME}")
        manifest = _manifest(data, place)
        contents: dict[str, memoryview] = {}
        for name in manifest.files:
            content = _map(root, name, place)
            if content is None:
                raise ArtifactError(f"{place} is incomplete: '{name}' is missing", _RECOMPILE)
            contents[name] = content
    finally:
        os.close(root)
    _check(manifest, contents, place)
    return Artifact(place, False, manifest, contents, identity)


def _open_packed(place: Path, identity: tuple[int, int, int]) -> Artifact:
    handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ArtifactError(f"{place} is not a graphopt artifact: not a regular file")
        found = members(file, place)
        whole = memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
    contents = {name: whole[start : start + size] for name, (start, size) in found.items()}
    manifest = _manifest(contents.pop(MANIFEST_NAME), place)
    for name in manifest.files:
        if name not in contents:
            raise ArtifactError(f"{place} is incomplete: '{name}' is missing", _RECOMPILE)
    listed = {name: contents[name] for name in manifest.files}
    _check(manifest, listed, place)
    return Artifact(place, True, manifest, listed, identity)


def _manifest(data: memoryview, place: Path) -> Manifest:
    if data.nbytes > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"{place}: {MANIFEST_NAME} is too large ({data.nbytes >> 20} MiB)", _RECOMPILE)
    return parse_manifest(bytes(data), str(place))


def _check(manifest: Manifest, contents: Mapping[str, memoryview], place: Path) -> None:
    for name, entry in manifest.files.items():
        size = contents[name].nbytes
        if size != entry.size:
            raise ArtifactError(
                f"{place} is damaged: '{name}' has {size} bytes, not {entry.size}", _RECOMPILE
            )
    for name, entry in manifest.files.items():
        if hashlib.sha256(contents[name]).hexdigest() != entry.sha256:
            raise ArtifactError(f"{place} is damaged: the contents of '{name}' have changed", _RECOMPILE)


def _map(root: int, name: str, place: Path) -> memoryview | None:
    """The contents of ``name`` below the folder ``root``, or None when it is not there."""
    try:
        handle = _open_below(root, name)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtifactError(f"{place}: '{name}' cannot be opened: {error.strerror}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactError(f"{place}: '{name}' is not a regular file")
        if status.st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(handle)


def _open_below(root: int, name: str) -> int:
    """Open a file step by step without following any link, so that no name leads out of the folder."""
    *folders, last = name.split("/")
    current = os.dup(root)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = inner
        # A named pipe would block without O_NONBLOCK.
        return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=current)
    finally:
        os.close(current)
