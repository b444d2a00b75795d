"""The weights file of an artifact while it is written: aligned, each content stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx_ir as ir

from graphopt.artifact.manifest import FileEntry
from graphopt.backends.executable import WEIGHTS_NAME

LARGE_ALIGNMENT = 4096
"""Page size: a large tensor can be mapped on its own."""
SMALL_ALIGNMENT = 64
"""A cache line, and the widest vector register."""
LARGE_FROM = 64 << 10
"""Bytes from which a tensor starts on a page: padding stays below 7 %."""


class WeightFile:
    """Appends tensors to a file; a ``WeightSink`` for ``backends.serialize``.

    The bytes of one tensor are in memory at a time (mapped, when it is an external tensor).
    """

    location = WEIGHTS_NAME

    def __init__(self, path: Path, failure: Callable[[OSError], Exception]) -> None:
        """``path`` is created with the first tensor; ``failure`` says what to raise when writing fails."""
        self._path = path
        self._failure = failure
        self._file: BinaryIO | None = None
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._by_content: dict[tuple[int, bytes], int] = {}
        self._by_tensor: dict[int, tuple[ir.TensorProtocol, int]] = {}

    def resumed(self, path: Path, failure: Callable[[OSError], Exception]) -> WeightFile:
        """A file that goes on where this one, closed by now, ended.

        Args:
            path: holds the bytes of this file, if it has any.
            failure: says what to raise when writing fails.

        Raises:
            OSError: ``path`` cannot be opened.
        """
        found = WeightFile(path, failure)
        found._size, found._sha256 = self._size, self._sha256.copy()
        found._by_content = dict(self._by_content)
        if self._file is not None:
            found._file = path.open("ab")
        return found

    def place(self, name: str, tensor: ir.TensorProtocol) -> tuple[int, int]:
        """Offset and length of the tensor's bytes in the file; equal bytes share one place.

        Args:
            name: ignored: contents decide.
            tensor: little-endian bytes are written, 4-bit types packed two to a byte.
        """
        del name
        if known := self._by_tensor.get(id(tensor)):
            return known[1], tensor.nbytes
        data = _raw(tensor)
        key = (data.nbytes, hashlib.sha256(data).digest())
        offset = self._by_content.get(key)
        if offset is None:
            offset = self._by_content[key] = self._append(data)
        # Holding the tensor keeps its id from being reused.
        self._by_tensor[id(tensor)] = (tensor, offset)
        return offset, data.nbytes

    def close(self) -> FileEntry | None:
        """Finish the file; its entry for the manifest, or None when no tensor was placed."""
        if self._file is None:
            return None
        try:
            self._file.close()
        except OSError as error:
            raise self._failure(error) from error
        self._by_tensor.clear()
        return FileEntry(self._size, self._sha256.hexdigest())

    def _append(self, data: memoryview) -> int:
        alignment = LARGE_ALIGNMENT if data.nbytes >= LARGE_FROM else SMALL_ALIGNMENT
        try:
            if self._file is None:
                self._file = self._path.open("xb")
            self._write(self._file, memoryview(bytes(-self._size % alignment)))
            offset = self._size
            self._write(self._file, data)
        except OSError as error:
            raise self._failure(error) from error
        return offset

    def _write(self, file: BinaryIO, data: memoryview) -> None:
        file.write(data)
        self._sha256.update(data)
        self._size += data.nbytes


def _raw(tensor: ir.TensorProtocol) -> memoryview:
    """The bytes as ONNX stores them, without a copy where the tensor's memory already looks so."""
    if tensor.dtype.bitwidth < 8:
        return memoryview(tensor.tobytes())
    array = np.ascontiguousarray(tensor.numpy())
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8).data
