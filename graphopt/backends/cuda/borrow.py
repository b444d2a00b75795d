"""Take over arrays of other libraries, without a copy and in the right order. Imports no compiler room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.backends.cuda.device import Device
from graphopt.backends.cuda.pinned import host_elements
from graphopt.backends.cuda.stream import LEGACY_DEFAULT, Stream
from graphopt.backends.device_array import CUDA, DeviceArray, Value, numpy_dtype
from graphopt.backends.executable import Array
from graphopt.errors import FeedError

if TYPE_CHECKING:
    from graphopt._kernels import ForeignTensor

_CPU, _CUDA_HOST, _CUDA_MANAGED = 1, 3, 13  # as DLPack numbers kinds of memory


def is_foreign(value: object) -> bool:
    """Whether ``borrow`` can take it and it is no numpy array."""
    if isinstance(value, np.ndarray):
        return False
    return hasattr(value, "__dlpack__") or hasattr(value, "__cuda_array_interface__")


def borrow(value: Any, device: Device, stream: Stream, what: str) -> Value:
    """Somebody else's array as ours, without a copy; numpy's where it lies in memory of the host.

    Args:
        value: an array of any library (see ``is_foreign``), or a ``DeviceArray``.
        device: the GPU it has to be on.
        stream: later work on it finds the values.
        what: how messages call it: "input 'x'".

    Raises:
        FeedError: it is on another GPU, not row-major, or of a dtype nobody has.
    """
    if isinstance(value, DeviceArray):
        if value.device.index != device.index:
            raise _elsewhere(what, value.device.index, device)
        value.use_on(stream)
        return value
    if not hasattr(value, "__dlpack__"):
        return _from_interface(value, device, stream, what)
    kind, number = value.__dlpack_device__()
    if kind in (_CPU, _CUDA_HOST):
        return _from_host(value, what)
    if kind not in (CUDA, _CUDA_MANAGED):
        raise FeedError(f"{what} is in memory of a kind a GPU of NVIDIA does not see (DLPack device {kind})")
    if number != device.index:
        raise _elsewhere(what, number, device)
    tensor = _import(value, what, stream=stream.handle)
    dtype, shape = _dtype_of(tensor, what), tuple(tensor.shape)
    _require_row_major(shape, tuple(tensor.strides), what)
    return DeviceArray(device, tensor.pointer, dtype, shape, owner=tensor, stream=stream)


def _import(value: Any, what: str, **arguments: int) -> ForeignTensor:
    from graphopt import _kernels

    try:
        return _kernels.import_dlpack(value.__dlpack__(**arguments))
    except (BufferError, RuntimeError, TypeError) as error:
        raise FeedError(f"{what} cannot be taken over: {' '.join(str(error).split())[:200]}") from error


def _from_host(value: Any, what: str) -> Array:
    """A view of a tensor in the host's memory. numpy's own ``from_dlpack`` knows no bfloat16."""
    tensor = _import(value, what)
    dtype, shape, strides = _dtype_of(tensor, what), tuple(tensor.shape), tuple(tensor.strides)
    if 0 in shape:
        return np.empty(shape, dtype)
    elements = 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    flat = host_elements(tensor.pointer, elements, dtype, owner=tensor)
    return np.lib.stride_tricks.as_strided(flat, shape, [step * dtype.itemsize for step in strides])


def _dtype_of(tensor: ForeignTensor, what: str) -> np.dtype[np.generic]:
    dtype = numpy_dtype(tensor.code, tensor.bits, tensor.lanes)
    if dtype is None:
        raise FeedError(f"{what} has a dtype unknown here (DLPack code {tensor.code}, {tensor.bits} bits)")
    return dtype


def _from_interface(value: Any, device: Device, stream: Stream, what: str) -> DeviceArray:
    """An array that speaks ``__cuda_array_interface__`` only; it does not say which GPU it is on."""
    facts = value.__cuda_array_interface__
    dtype = np.dtype(facts["typestr"])
    shape = tuple(int(size) for size in facts["shape"])
    if (strides := facts.get("strides")) is not None:
        _require_row_major(shape, tuple(step // dtype.itemsize for step in strides), what)
    # Without a stream in it, version 3 says nothing has to be waited for; older ones say nothing at all.
    producer = facts.get("stream", LEGACY_DEFAULT if facts.get("version", 0) < 3 else None)
    if producer is not None:
        stream.wait_for(int(producer))
    return DeviceArray(device, int(facts["data"][0]), dtype, shape, owner=value, stream=stream)


def _require_row_major(shape: tuple[int, ...], strides: tuple[int, ...], what: str) -> None:
    expected = 1
    for size, step in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and step != expected and 0 not in shape:
            raise FeedError(
                f"{what} is not row-major in memory (strides {list(strides)})", "hand over x.contiguous()"
            )
        expected *= size


def _elsewhere(what: str, number: int, device: Device) -> FeedError:
    return FeedError(
        f"{what} is on GPU {number}, the artifact on GPU {device.index}",
        f"move it there, or open the artifact with load(…, device={number})",
    )
