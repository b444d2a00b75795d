"""Copy arrays to a GPU and back, through page-locked memory. Imports no compiler room."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.backends.cuda.device import Device
from graphopt.backends.cuda.memory import copy
from graphopt.backends.cuda.stream import Stream
from graphopt.backends.device_array import DeviceArray
from graphopt.backends.executable import Array


def upload(array: Array, device: Device, stream: Stream) -> DeviceArray:
    """A copy of a numpy array on the GPU, there for later work on ``stream``; the array may change at once.

    Raises CudaError when the GPU has no memory left.
    """
    target = DeviceArray.empty(device, array.dtype, array.shape, stream)
    write(array, target.pointer, device, stream)
    return target


def write(array: Array, address: int, device: Device, stream: Stream) -> None:
    """Copy a numpy array, row-major, to an address on the GPU in stream order; it may change at once."""
    staged = device.pinned.take(array.nbytes)
    if staged is None:
        # From pageable memory the call returns once the driver has taken the bytes over.
        plain = np.ascontiguousarray(array)
        copy(device, address, plain.ctypes.data, plain.nbytes, stream)
        return
    np.copyto(staged.view(array.dtype, array.shape), array)
    copy(device, address, staged.address, array.nbytes, stream)
    stream.hold(stream.record(), staged)


def fetch(values: dict[str, Any], stream: Stream) -> dict[str, Any]:
    """Every ``DeviceArray`` among ``values`` as a numpy array; whatever else is there stays as it is.

    The arrays are usable on ``stream``. One wait for all of them; raises CudaError when the work failed.
    """
    on_device = {name: value for name, value in values.items() if isinstance(value, DeviceArray)}
    if not on_device:
        return dict(values)
    staged = {}
    results: dict[str, Array] = {}
    for name, value in on_device.items():
        results[name] = np.empty(value.shape, value.dtype)
        staged[name] = value.device.pinned.take(value.nbytes)
        memory = staged[name]
        target = results[name].ctypes.data if memory is None else memory.address
        copy(value.device, target, value.pointer, value.nbytes, stream)
    stream.synchronize()
    for name, memory in staged.items():
        if memory is not None:
            np.copyto(results[name], memory.view(results[name].dtype, results[name].shape))
    return {name: results.get(name, value) for name, value in values.items()}
