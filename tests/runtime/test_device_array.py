"""Arrays on a GPU between libraries: DLPack and ``__cuda_array_interface__``, both ways."""

import ml_dtypes
import numpy as np
import pytest

from graphopt import _kernels
from graphopt.backends.cuda.borrow import borrow
from graphopt.backends.cuda.device import open_device
from graphopt.backends.cuda.transfer import fetch, upload
from graphopt.backends.device_array import DeviceArray
from graphopt.errors import FeedError

from .imagined import Tensor

DTYPES = ["float32", "float64", "float16", "int8", "int64", "uint8", "bool", "complex64"]


@pytest.fixture
def device(gpu):
    return open_device()


def there(array, device):
    with device.lend_stream() as stream:
        return upload(array, device, stream)


@pytest.mark.parametrize("dtype", [*DTYPES, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 4)])
def test_values_survive_upload_hand_over_and_return(dtype, shape, device):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    ours = there(array, device)
    assert (ours.ndim, ours.size, ours.nbytes) == (array.ndim, array.size, array.nbytes)
    capsule = ours.__dlpack__(stream=1)
    tensor = _kernels.import_dlpack(capsule)
    assert (tensor.device_type, tensor.device_id) == ours.__dlpack_device__() == (2, 0)
    np.testing.assert_array_equal(ours.numpy(), array)

    class Theirs:
        def __dlpack_device__(self):
            return (2, 0)

        def __dlpack__(self, *, stream=None):
            return ours.__dlpack__(stream=stream)

    with device.lend_stream() as stream:
        again = borrow(Theirs(), device, stream, "x")
        assert isinstance(again, DeviceArray)
        assert (again.dtype, again.shape, again.pointer) == (array.dtype, shape, ours.pointer)
        np.testing.assert_array_equal(fetch({"x": again}, stream)["x"], array)


def test_an_array_changes_at_once_after_it_was_handed_in(device):
    array = np.arange(1000.0)
    with device.lend_stream() as stream:
        ours = upload(array, device, stream)
        array[:] = -1
        np.testing.assert_array_equal(fetch({"x": ours}, stream)["x"], np.arange(1000.0))


def test_large_and_strided_arrays_go_through(device, monkeypatch):
    from graphopt.backends.cuda import pinned

    array = np.arange(4096.0).reshape(64, 64)[::2, ::-1]
    np.testing.assert_array_equal(there(array, device).numpy(), array)
    monkeypatch.setattr(pinned, "MOST_BYTES", 100)
    np.testing.assert_array_equal(there(array, device).numpy(), array)


def test_the_interface_of_numba_and_cupy_goes_both_ways(gpu, device):
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    facts = there(array, device).__cuda_array_interface__
    assert (facts["shape"], facts["typestr"], facts["version"]) == ((3, 4), "<i4", 3)
    stream = gpu.cuda.cudaStreamCreateWithFlags(1)[1]
    tensor = Tensor(gpu.cuda, array, stream=stream, late=True)

    class Numba:
        def __init__(self, **facts):
            self.tensor, self.__cuda_array_interface__ = tensor, facts

    plain = {"shape": (3, 4), "typestr": "<i4", "data": (tensor.pointer, False), "version": 3}
    with device.lend_stream() as ours:
        taken = borrow(Numba(**plain, stream=stream), device, ours, "x")
        np.testing.assert_array_equal(fetch({"x": taken}, ours)["x"], array)
        with pytest.raises(FeedError, match=r"x is not row-major in memory \(strides \[1, 3\]\)"):
            borrow(Numba(**plain, strides=(4, 12)), device, ours, "x")
    with pytest.raises(AttributeError, match="no spelling for bfloat16"):
        there(np.zeros(2, ml_dtypes.bfloat16), device).__cuda_array_interface__  # noqa: B018


def test_what_cannot_be_handed_over_is_refused(device):
    ours = there(np.zeros(3, np.float32), device)
    for arguments in ({"copy": True}, {"dl_device": (1, 0)}, {"dl_device": (2, 1)}):
        with pytest.raises(BufferError, match="handed over as it is"):
            ours.__dlpack__(**arguments)
    assert ours.__dlpack__(stream=-1, max_version=(1, 0), dl_device=(2, 0), copy=False) is not None
    with pytest.raises(TypeError):
        len(there(np.float32(1).reshape(()), device))
    assert repr(ours) == "DeviceArray(shape=(3,), dtype=float32, device=0)"
    assert len(ours) == 3


@pytest.mark.parametrize(("code", "bits"), [(17, 4), (2, 8), (0, 4), (3, 64)])
def test_dtypes_nobody_has_are_refused(code, bits, device):
    class Strange:
        def __dlpack_device__(self):
            return (2, 0)

        def __dlpack__(self, *, stream=None):
            return _kernels.export_dlpack(0x1000, [4], code, bits, 2, 0, self)

    with device.lend_stream() as stream, pytest.raises(FeedError, match=rf"DLPack code {code}, {bits} bits"):
        borrow(Strange(), device, stream, "input 'x'")
