"""Tensors of other libraries come in and go out through DLPack, wherever their memory is."""

import gc
import sys

import ml_dtypes
import numpy as np
import pytest

from graphopt import _kernels


class Lent:
    """A capsule of ours as numpy wants to see it."""

    def __init__(self, array, shape, code, bits):
        self.capsule = _kernels.export_dlpack(array.ctypes.data, shape, code, bits, 1, 0, array)

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int64", "uint16", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_what_numpy_lends_is_seen_as_it_is(dtype, shape):
    array = np.ones(shape, dtype)
    tensor = _kernels.import_dlpack(array.__dlpack__())
    assert tensor.pointer == array.ctypes.data
    assert tuple(tensor.shape) == shape
    assert (tensor.bits, tensor.lanes) == (8 * array.itemsize, 1)
    assert (tensor.device_type, tensor.device_id) == (1, 0)
    if 0 not in shape:
        assert [step * array.itemsize for step in tensor.strides] == list(array.strides)


def test_strides_and_offsets_are_kept():
    array = np.arange(24.0).reshape(4, 6)[1:, ::2]
    tensor = _kernels.import_dlpack(array.__dlpack__())
    assert tensor.pointer == array.ctypes.data
    assert tensor.strides == [6, 2]


def test_a_versioned_capsule_and_one_of_read_only_memory_are_taken():
    array = np.arange(4)
    array.flags.writeable = False
    tensor = _kernels.import_dlpack(array.__dlpack__(max_version=(1, 0)))
    assert tensor.shape == [4]


def test_numpy_takes_what_is_lent():
    array = np.arange(6, dtype=np.int64)
    np.testing.assert_array_equal(np.from_dlpack(Lent(array, [2, 3], 0, 64)), array.reshape(2, 3))


@pytest.mark.parametrize("device", [(2, 0), (2, 3), (13, 1), (3, 0)])
def test_memory_of_any_device_goes_through_untouched(device):
    capsule = _kernels.export_dlpack(0x1000, [1 << 20, 5], 4, 16, *device, object())
    tensor = _kernels.import_dlpack(capsule)
    assert (tensor.device_type, tensor.device_id) == device
    assert (tensor.pointer, tensor.shape, tensor.strides) == (0x1000, [1 << 20, 5], [5, 1])
    assert (tensor.code, tensor.bits) == (4, 16)


def test_an_owner_lives_as_long_as_somebody_holds_its_memory():
    array = np.zeros(10, ml_dtypes.bfloat16)
    before = sys.getrefcount(array)
    capsule = _kernels.export_dlpack(array.ctypes.data, [10], 4, 16, 1, 0, array)
    assert sys.getrefcount(array) == before + 1
    tensor = _kernels.import_dlpack(capsule)
    del capsule
    gc.collect()
    assert sys.getrefcount(array) == before + 1
    del tensor
    gc.collect()
    assert sys.getrefcount(array) == before


def test_a_capsule_nobody_takes_lets_go_of_its_owner():
    array = np.zeros(10)
    before = sys.getrefcount(array)
    capsule = _kernels.export_dlpack(array.ctypes.data, [10], 2, 64, 1, 0, array)
    assert capsule is not None
    del capsule
    assert sys.getrefcount(array) == before


def test_a_capsule_is_taken_once():
    capsule = _kernels.export_dlpack(0x1000, [1], 2, 32, 2, 0, object())
    _kernels.import_dlpack(capsule)
    with pytest.raises(TypeError):
        _kernels.import_dlpack(capsule)


@pytest.mark.parametrize(
    "arguments", [([-1], 2, 32), ([1], 300, 32), ([1], -1, 32), ([1], 2, 0), ([1], 2, 256)]
)
def test_nonsense_is_refused(arguments):
    shape, code, bits = arguments
    with pytest.raises(ValueError, match=r"negative|no such dtype"):
        _kernels.export_dlpack(0x1000, shape, code, bits, 2, 0, object())
    with pytest.raises(TypeError):
        _kernels.import_dlpack(3)
