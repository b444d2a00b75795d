"""The packed form of an artifact: a zip archive, nothing compressed, contents aligned for mapping."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO

from graphopt.artifact.manifest import MANIFEST_NAME
from graphopt.errors import ArtifactError

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_PADDING_FIELD = 0xD935
"""Extra-field id other tools use for alignment padding."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ZIP64_FROM = 1 << 31


def members(file: IO[bytes], place: Path) -> dict[str, tuple[int, int]]:
    """Where each file of a packed artifact lies: name → (offset, size) in bytes.

    Raises:
        ArtifactError: not a zip archive, not one of ours, or contents that are compressed,
            encrypted, listed twice or outside the file.
    """
    length = file.seek(0, 2)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError) as error:
        raise ArtifactError(f"{place} is not a graphopt artifact: {_reason(length, error)}") from error
    found: dict[str, tuple[int, int]] = {}
    for entry in entries:
        if entry.is_dir():
            continue
        if entry.filename in found:
            raise ArtifactError(f"{place} is damaged: it holds '{entry.filename}' twice")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise ArtifactError(
                f"{place}: '{entry.filename}' is compressed or encrypted", "graphopt pack stores plainly"
            )
        found[entry.filename] = (_start(file, entry, length, place), entry.file_size)
    if MANIFEST_NAME not in found:
        raise ArtifactError(f"{place} is not a graphopt artifact: it has no {MANIFEST_NAME}")
    return found


def add(archive: zipfile.ZipFile, name: str, content: memoryview | bytes, alignment: int) -> None:
    """Append one file to an archive, its contents starting at a multiple of ``alignment``."""
    size = memoryview(content).nbytes
    zip64 = size >= _ZIP64_FROM
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    entry.file_size = entry.compress_size = size
    entry.CRC = 0
    assert archive.fp is not None
    start = archive.fp.tell() + len(entry.FileHeader(zip64)) + 4
    padding = -start % alignment
    entry.extra = struct.pack("<HH", _PADDING_FIELD, padding) + bytes(padding)
    with archive.open(entry, "w", force_zip64=zip64) as out:
        out.write(content)


def _start(file: IO[bytes], entry: zipfile.ZipInfo, length: int, place: Path) -> int:
    """Offset of an entry's contents, taken from its local header."""
    file.seek(entry.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise ArtifactError(f"{place} is damaged: '{entry.filename}' has no header")
    *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    start = entry.header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)
    if entry.compress_size != entry.file_size or start + entry.file_size > length:
        raise ArtifactError(f"{place} is truncated or damaged: '{entry.filename}' does not fit in it")
    return start


def _reason(length: int, error: Exception) -> str:
    return "the file is empty" if length == 0 else str(error).rstrip(".") or type(error).__name__
