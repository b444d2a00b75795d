"""Streams, memory and other libraries' arrays on a real GPU, for which tests/runtime has an imagined one."""

import ml_dtypes
import numpy as np
import pytest

from graphopt.backends.cuda.borrow import borrow
from graphopt.backends.cuda.transfer import fetch, upload
from graphopt.backends.device_array import DeviceArray

DTYPES = ["float32", "float16", "int64", "int32", "int8", "uint8", "bool", ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (1024, 1025)])
def test_arrays_survive_the_way_there_and_back(dtype, shape, device):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    with device.lend_stream() as stream:
        back = fetch({"x": upload(array, device, stream)}, stream)["x"]
    np.testing.assert_array_equal(back, array)


def test_more_than_is_ever_pinned_goes_through(device):
    array = np.arange(40 << 20, dtype=np.float32)
    with device.lend_stream() as stream:
        np.testing.assert_array_equal(fetch({"x": upload(array, device, stream)}, stream)["x"], array)


def test_memory_is_used_again_and_kept_apart(device):
    arrays = [np.full(1 << 18, value, np.float32) for value in range(8)]
    for _ in range(20):
        with device.lend_stream() as stream:
            there = [upload(array, device, stream) for array in arrays]
        for array, copy in zip(arrays, there, strict=True):
            np.testing.assert_array_equal(copy.numpy(), array)


def test_torch_takes_and_gives_without_a_copy(device):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    array = np.arange(1 << 20, dtype=np.float32)
    with device.lend_stream() as stream:
        ours = upload(array, device, stream)
    theirs = torch.from_dlpack(ours)
    assert theirs.data_ptr() == ours.pointer
    doubled = theirs * 2
    with device.lend_stream() as stream:
        again = borrow(doubled, device, stream, "x")
        assert isinstance(again, DeviceArray)
        assert again.pointer == doubled.data_ptr()
        np.testing.assert_array_equal(fetch({"x": again}, stream)["x"], 2 * array)


def test_cupy_takes_and_gives_without_a_copy(device):
    cupy = pytest.importorskip("cupy", reason="cupy is not installed")
    array = np.arange(1 << 20, dtype=np.float32)
    with device.lend_stream() as stream:
        ours = upload(array, device, stream)
    theirs = cupy.from_dlpack(ours)
    assert theirs.data.ptr == ours.pointer
    assert cupy.asarray(ours).data.ptr == ours.pointer
    with device.lend_stream() as stream:
        again = borrow(theirs * 2, device, stream, "x")
        np.testing.assert_array_equal(fetch({"x": again}, stream)["x"], 2 * array)
