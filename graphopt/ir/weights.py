"""Where a model's large tensors lie: checked views into the model file and its external data files."""

from __future__ import annotations

import math
import mmap
import os
import stat
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir.memory import is_out_of_memory
from graphopt.ir.walk import constants
from graphopt.ir.wire import INLINE_LOCATION, Buffer

_MAX_ELEMENTS = (1 << 63) - 1


class WeightFiles:
    """Opens each external data file once and hands out views that cannot leave the model's folder.

    Views share one memory map per file, opened at import: replacing the file later (as saving over
    the input does) leaves them intact, and pages are read only when touched.

    Args:
        inline: the buffer the model itself was read from, for weights that lie in it.
        model_path: the model's file, or None when it came as bytes without a folder.
        folder: where external data lies when there is no file.
    """

    def __init__(self, inline: Buffer, model_path: Path | None, folder: Path | None) -> None:
        self._inline = inline
        self._folder = folder if model_path is None else model_path.parent
        roots = [] if self._folder is None else [self._folder.resolve()]
        if model_path is not None:
            # A cache may keep both files elsewhere and link them in (Hugging Face's blobs do):
            # the folder of the real model file is as much the model's own.
            roots.append(model_path.resolve().parent)
        self._roots = roots
        self._open: dict[str, Buffer] = {}
        self._shared: dict[tuple[object, ...], ir.TensorProtocol] = {}

    def tensor(self, proto: onnx.TensorProto) -> ir.TensorProtocol:
        """The tensor ``proto`` refers to, as a view.

        Raises:
            ModelError: the reference is malformed, leaves the folder, or its file is missing, too
                short or of another size than the tensor's dims say.
        """
        name = proto.name or "(unnamed)"
        entries = {entry.key: entry.value for entry in proto.external_data}
        location = entries.get("location", "")
        offset = _natural(entries.get("offset", "0"), "offset", name)
        needed = tensor_bytes(proto)
        length = _natural(entries["length"], "length", name) if "length" in entries else needed
        if length != needed:
            where = "in the file" if location == INLINE_LOCATION else f"in {location!r}"
            raise ModelError(
                f"tensor {name!r} has {length} bytes {where}, its type and dims say {needed}",
                "export the model again",
            )
        buffer = self._inline if location == INLINE_LOCATION else self._buffer(location, name)
        if offset + length > len(buffer):
            raise ModelError(
                f"external data {location!r} is too short: tensor {name!r} needs bytes {offset} to "
                f"{offset + length}, it has {len(buffer)}",
                "copy the weights file again or export the model again",
            )
        if location == INLINE_LOCATION:
            return view_tensor(proto, buffer, offset, length)
        # Two tensors over the same bytes are one: saving writes it once.
        key = (location, offset, length, proto.data_type, tuple(proto.dims))
        if key not in self._shared:
            self._shared[key] = view_tensor(proto, buffer, offset, length)
        return self._shared[key]

    def _buffer(self, location: str, name: str) -> Buffer:
        if location not in self._open:
            self._open[location] = self._open_file(location, name)
        return self._open[location]

    def _open_file(self, location: str, name: str) -> Buffer:
        hint = "export the model with its weights beside it"
        if self._folder is None:
            raise ModelError(
                f"tensor {name!r} lies in the file {location!r}, but the model came without a folder",
                "pass the model as a path, or say folder=",
            )
        if not location or "\0" in location:
            raise ModelError(f"tensor {name!r} names no valid external data file", hint)
        if Path(location).is_absolute() or location.startswith("\\") or location[1:2] == ":":
            raise ModelError(f"tensor {name!r} points at {location!r}, an absolute path", hint)
        path = (self._folder / location).resolve()
        if not any(path.is_relative_to(root) for root in self._roots):
            raise ModelError(f"tensor {name!r} points outside the model's folder, at {location!r}", hint)
        try:
            return map_file(path)
        except FileNotFoundError:
            raise ModelError(
                f"external data {location!r} of tensor {name!r} is missing from {self._folder}",
                "copy it beside the model",
            ) from None
        except (OSError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            reason = getattr(error, "strerror", None) or str(error)
            raise ModelError(f"external data {location!r} cannot be read: {reason}", hint) from error


def release_pages(model: ir.Model) -> None:
    """Let go of the mapped weights' pages: they count as this process's memory until then.

    They are read from the file again (from the system's cache, mostly) when next touched.
    """
    for buffer in {id(b): b for b in map(_mapping, constants(model)) if b is not None}.values():
        buffer.madvise(mmap.MADV_DONTNEED)


def _mapping(tensor: ir.TensorProtocol) -> mmap.mmap | None:
    """The memory map a tensor is a view of, if it is one."""
    owner: object = tensor.raw if isinstance(tensor, ir.Tensor) else None
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    return owner if isinstance(owner, mmap.mmap) else None


def map_file(path: Path) -> Buffer:
    """The file's bytes as a read-only memory map (empty bytes for an empty file).

    Raises:
        OSError: it cannot be opened or is not a regular file.
    """
    # Not blocking: opening a FIFO someone named as a model must not hang.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise OSError(0, f"it is {kind}")
        if status.st_size == 0:
            return b""
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def tensor_bytes(proto: onnx.TensorProto) -> int:
    """Bytes the tensor's type and dims need; ModelError when they are absurd."""
    name = proto.name or "(unnamed)"
    hint = "the file is damaged: export it again"
    if any(dim < 0 for dim in proto.dims):
        raise ModelError(f"tensor {name!r} has a negative dim in {list(proto.dims)}", hint)
    count: int = math.prod(proto.dims)
    if count > _MAX_ELEMENTS:
        raise ModelError(f"tensor {name!r} has {list(proto.dims)} elements: more than can exist", hint)
    try:
        bits: int = ir.DataType(proto.data_type).bitwidth
    except (ValueError, TypeError):
        if proto.data_type == onnx.TensorProto.STRING:
            return 0
        raise ModelError(f"tensor {name!r} has the unknown data type {proto.data_type}", hint) from None
    return (count * bits + 7) // 8


def view_tensor(proto: onnx.TensorProto, buffer: Buffer, offset: int, length: int) -> ir.TensorProtocol:
    """A tensor over ``buffer[offset:offset+length]`` without copying; the length must be right."""
    dtype = ir.DataType(proto.data_type)
    if dtype == ir.DataType.STRING:
        raise ModelError(f"string tensor {proto.name!r} cannot have raw or external data", "export it again")
    metadata = {entry.key: entry.value for entry in proto.metadata_props} or None
    shape = ir.Shape(proto.dims)
    doc = proto.doc_string or None
    if dtype.bitwidth in (2, 4, 6):
        packed = np.frombuffer(buffer, np.uint8, length, offset) if length else np.empty(0, np.uint8)
        return ir.PackedTensor(
            packed, dtype, shape=shape, name=proto.name, doc_string=doc, metadata_props=metadata
        )
    numpy_dtype = np.dtype(dtype.numpy()).newbyteorder("<")
    count = length // numpy_dtype.itemsize
    flat = np.frombuffer(buffer, numpy_dtype, count, offset) if count else np.empty(0, numpy_dtype)
    array = flat.reshape(tuple(proto.dims))
    return ir.Tensor(array, dtype, shape=shape, name=proto.name, doc_string=doc, metadata_props=metadata)


def _natural(text: str, what: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(
            f"tensor {name!r} has the external data {what} {text[:40]!r}", "export the model again"
        )
    return int(text)
