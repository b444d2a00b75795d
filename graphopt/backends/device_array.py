"""Arrays in a GPU's memory, exchanged with torch, cupy and others without a copy. Imports no compiler room.

A library hands its array over by DLPack (``__dlpack__``) or by ``__cuda_array_interface__``:
``cuda.borrow`` takes either. What a session returns is a ``DeviceArray``, which offers both:
``torch.from_dlpack(array)``, ``cupy.from_dlpack(array)``, ``numba.cuda.as_cuda_array(array)``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphopt.backends.cuda.device import Device
from graphopt.backends.cuda.memory import DeviceBuffer
from graphopt.backends.cuda.stream import LEGACY_DEFAULT, Event, Stream
from graphopt.backends.executable import Array

CUDA = 2
"""A GPU's own memory, as DLPack numbers kinds of memory."""

_KIND_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_SPECIAL_CODES = {
    "bfloat16": 4,
    "float8_e4m3fn": 10,
    "float8_e4m3fnuz": 11,
    "float8_e5m2": 12,
    "float8_e5m2fnuz": 13,
}


class DeviceArray:
    """An array on a GPU: row-major, read-only by agreement.

    It is filled in stream order: whoever takes it over by DLPack, or by ``numpy()``, gets the values of
    the run that made it, without waiting longer than needed.

    Attributes:
        shape: sizes.
        dtype: as numpy and ml_dtypes spell it.
        pointer: address of the first element.
        device: the GPU it is on.
    """

    __slots__ = ("__weakref__", "_owner", "_ready", "_stream", "device", "dtype", "pointer", "shape")

    def __init__(
        self,
        device: Device,
        pointer: int,
        dtype: np.dtype[np.generic],
        shape: tuple[int, ...],
        *,
        owner: object,
        stream: Stream,
    ) -> None:
        """Memory that ``owner`` keeps alive, written by what is on ``stream`` (see ``written``)."""
        self.device = device
        self.pointer = pointer
        self.dtype = dtype
        self.shape = shape
        self._owner = owner
        self._stream = stream
        self._ready: Event | None = None

    @classmethod
    def empty(
        cls, device: Device, dtype: np.dtype[np.generic], shape: tuple[int, ...], stream: Stream
    ) -> DeviceArray:
        """An array in memory of its own, to be filled by work on ``stream``; CudaError if none is left."""
        buffer = DeviceBuffer(device, math.prod(shape) * dtype.itemsize, stream)
        return cls(device, buffer.address, dtype, shape, owner=buffer, stream=stream)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype.name}, device={self.device.index})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def written(self, event: Event) -> None:
        """Say when its values are there: by ``event``, not by whatever its stream does later."""
        self._ready = event

    def read_by(self, handle: int) -> None:
        """Let the memory outlive what is on somebody else's stream when nobody holds it any more."""
        if isinstance(self._owner, DeviceBuffer):
            self._owner.used_on(handle)

    def use_on(self, stream: Stream) -> None:
        """Let later work on ``stream`` find the values, and the memory outlive that work.

        Memory somebody else owns does so only while this array is held (see ``Stream.hold``).
        """
        if stream is self._stream:
            return
        stream.wait(self._ready or self._stream.record())
        self.read_by(stream.handle)

    def numpy(self) -> Array:
        """The values in memory of the host; waits until they are there."""
        from graphopt.backends.cuda.transfer import fetch

        with self.device.lend_stream() as stream:
            self.use_on(stream)
            array: Array = fetch({"": self}, stream)[""]
            return array

    def __dlpack_device__(self) -> tuple[int, int]:
        return (CUDA, self.device.index)

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """A capsule over the memory.

        Args:
            stream: the taker's, as DLPack numbers streams; None is the default stream, -1 asks for no
                waiting. Work enqueued there later finds the values.
            max_version: ignored: every taker takes the unversioned capsule.
            dl_device: other memory than this is refused.
            copy: True is refused.

        Raises:
            BufferError: a copy is asked for, or the dtype has no DLPack code.
        """
        del max_version
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError("a DeviceArray is handed over as it is: use numpy() for a copy on the host")
        if stream != -1:
            self._hand_over(stream or LEGACY_DEFAULT)
        from graphopt import _kernels

        code, bits = dlpack_code(self.dtype)
        return _kernels.export_dlpack(
            self.pointer, self.shape, code, bits, CUDA, self.device.index, self._owner
        )

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if self.dtype.isbuiltin != 1:
            raise AttributeError(f"__cuda_array_interface__ has no spelling for {self.dtype.name}")
        self._hand_over(LEGACY_DEFAULT)
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),  # torch takes no array that says it is read-only
            "version": 3,
            "strides": None,
            "stream": LEGACY_DEFAULT,
        }

    def _hand_over(self, handle: int) -> None:
        with self.device.active():
            self._stream.let_wait(handle, self._ready or self._stream.record())
        self.read_by(handle)


Value = Array | DeviceArray
"""What goes from region to region."""


def dlpack_code(dtype: np.dtype[np.generic]) -> tuple[int, int]:
    """DLPack's number for a dtype and its bits; BufferError where it has none."""
    code = _SPECIAL_CODES.get(dtype.name, _KIND_CODES.get(dtype.kind))
    if code is None:
        raise BufferError(f"DLPack has no code for {dtype.name}")
    return code, 8 * dtype.itemsize


def numpy_dtype(code: int, bits: int, lanes: int) -> np.dtype[np.generic] | None:
    """The dtype behind DLPack's numbers, from ml_dtypes where numpy has none; None where nobody has."""
    letters = {number: letter for letter, number in _KIND_CODES.items()}
    names = {number: name for name, number in _SPECIAL_CODES.items()}
    try:
        if lanes != 1 or bits % 8:
            return None
        if code in letters:
            return np.dtype("?" if code == _KIND_CODES["b"] else f"{letters[code]}{bits // 8}")
        import ml_dtypes

        found: np.dtype[np.generic] = np.dtype(getattr(ml_dtypes, names[code]))
    except (TypeError, KeyError):
        return None
    return found
