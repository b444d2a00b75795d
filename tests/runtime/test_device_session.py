"""Sessions on a GPU: an imagined one does its work as late as it can and fills memory with NaN.

What is tested is all the scheduling: order, lifetimes, copies, contexts. That TensorRT computes the right
numbers on a real card is for tests/gpu.
"""

import gc
import threading

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.artifact.pack import pack
from graphopt.backends.device_array import DeviceArray
from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.errors import BackendError, FeedError, UsageError
from graphopt.runtime.session import load

from .conftest import feeds, mixed_model, write
from .imagined import TARGET, ImaginedTensorRT, Tensor, take

SIZES = ((1, 500), (3, 500), (8, 500))
PROFILE = {"x": SIZES, "b": SIZES, "d": SIZES, "a": SIZES}


class EngineFor(ImaginedTensorRT):
    """Gives each region the profiles of the inputs it has."""

    def build(self, region, options):
        profile = {value.name: PROFILE[value.name] for value in region.graph.inputs if value.name in PROFILE}
        object.__setattr__(self, "plan", {"profiles": [profile] if profile else []})
        return super().build(region, options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An artifact of one engine, and the model."""
    path = tmp_path_factory.mktemp("whole") / "model.gopt"
    model = mixed_model()
    write(path, model, (EngineFor(),), target=TARGET)
    return path, model


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory):
    """An artifact of engines and regions on the CPU in turns, and the model."""
    path = tmp_path_factory.mktemp("hybrid") / "model.gopt"
    model = mixed_model()
    for node in model.graph:  # an engine knows the rank of what it takes
        node.outputs[0].shape = ir.Shape(["N", 500])
    placement = write(path, model, (EngineFor(leaves=("Tanh", "If")), OnnxRuntimeBackend()), target=TARGET)
    assert {region.backend for region in placement.regions} == {"tensorrt", "onnxruntime"}
    assert len(placement.regions) > 2
    return path, model


def expected(model, arrays):
    return make_runner(model, optimise=False, threads=1).run(arrays)


def same(actual, wanted):
    assert list(actual) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_max_ulp(actual[name], value, maxulp=4)


@pytest.mark.parametrize("kind", ["whole", "hybrid"])
@pytest.mark.parametrize("rows", [1, 8])
def test_arrays_of_numpy_go_in_and_come_out(kind, rows, request, gpu, tmp_path):
    path, model = request.getfixturevalue(kind)
    for session in (load(path), load(pack(path, tmp_path / "one.gopt"))):
        assert session.device.architecture == "sm_86"
        for seed in range(3):
            arrays = feeds(rows, condition=seed % 2 == 0, seed=seed)
            same(session.run(arrays), expected(model, arrays))


@pytest.mark.parametrize("kind", ["whole", "hybrid"])
def test_arrays_of_another_library_go_in_without_a_copy_and_come_out_on_the_gpu(kind, request, gpu):
    path, model = request.getfixturevalue(kind)
    session = load(path)
    arrays = feeds(3)
    # They are filled by work that has not been done yet: the session must wait for it.
    tensors = {name: Tensor(gpu.cuda, np.asarray(a), late=True) for name, a in arrays.items()}
    outputs = session.run(tensors)
    assert all(isinstance(array, DeviceArray) for array in outputs.values())
    assert outputs["y"].__dlpack_device__() == (2, 0)
    same({name: take(gpu.cuda, array) for name, array in outputs.items()}, expected(model, arrays))
    same({name: array.numpy() for name, array in outputs.items()}, expected(model, arrays))


def test_nothing_is_copied_that_is_on_the_gpu_already(whole, gpu):
    session = load(whole[0])
    tensors = {name: Tensor(gpu.cuda, np.asarray(a)) for name, a in feeds(3).items()}
    session.run(tensors)
    before = gpu.cuda.calls["cudaMemcpyAsync"]
    session.run(tensors)
    assert gpu.cuda.calls["cudaMemcpyAsync"] == before
    assert gpu.cuda.calls["cudaStreamSynchronize"] == 0


@pytest.mark.parametrize("first", ["session", "caller"])
def test_the_callers_stream_comes_before_and_after(first, whole, gpu):
    path, model = whole
    session = load(path)
    stream = gpu.cuda.cudaStreamCreateWithFlags(1)[1]

    class Plain(Tensor):
        """An array that leaves the order to whoever passes it on."""

        def __dlpack__(self, *, stream=None):
            return super().__dlpack__(stream=-1)

    arrays = feeds(3)
    tensors = {n: Plain(gpu.cuda, np.asarray(a), stream=stream, late=True) for n, a in arrays.items()}
    outputs = session.run(tensors, stream=stream)
    if first == "session":
        same({name: array.numpy() for name, array in outputs.items()}, expected(model, arrays))
    # Work the caller enqueues now finds the outputs, though nobody has waited for anything yet.
    seen = {}

    def read():
        seen.update({n: gpu.cuda.read(a.pointer, a.dtype, a.shape) for n, a in outputs.items()})

    gpu.cuda.push(stream, read)
    gpu.cuda.drain(stream)
    same(seen, expected(model, arrays))


@pytest.mark.parametrize("spelling", ["cuda_stream", "ptr", "protocol", "number"])
def test_streams_are_taken_in_every_spelling(spelling, whole, gpu):
    number = gpu.cuda.cudaStreamCreateWithFlags(1)[1]
    stream = {
        "cuda_stream": type("Torch", (), {"cuda_stream": number})(),
        "ptr": type("Cupy", (), {"ptr": number})(),
        "protocol": type("Core", (), {"__cuda_stream__": lambda self: (0, number)})(),
        "number": number,
    }[spelling]
    session = load(whole[0])
    same(session.run(feeds(2), stream=stream), expected(whole[1], feeds(2)))
    with pytest.raises(UsageError, match="a str is no CUDA stream"):
        session.run(feeds(2), stream="fast")


@pytest.mark.parametrize("kind", ["whole", "hybrid"])
def test_feeds_may_be_dropped_while_the_gpu_still_reads_them(kind, request, gpu):
    path, model = request.getfixturevalue(kind)
    session = load(path)
    arrays = feeds(3)
    outputs = session.run({name: Tensor(gpu.cuda, np.asarray(a), late=True) for name, a in arrays.items()})
    gc.collect()
    same({name: take(gpu.cuda, array) for name, array in outputs.items()}, expected(model, arrays))


def test_outputs_may_be_dropped_while_the_caller_still_reads_them(whole, gpu):
    path, model = whole
    session = load(path)
    arrays = feeds(3)
    tensors = {name: Tensor(gpu.cuda, np.asarray(a)) for name, a in arrays.items()}
    stream = gpu.cuda.cudaStreamCreateWithFlags(1)[1]
    output = session.run(tensors, stream=stream)["y"]
    pointer, dtype, shape = output.pointer, output.dtype, output.shape
    seen = []
    gpu.cuda.push(stream, lambda: seen.append(gpu.cuda.read(pointer, dtype, shape)))
    del output
    # The memory is given back, and the next runs use the same streams.
    for _ in range(3):
        session.run(feeds(3, seed=5))
    gpu.cuda.drain(stream)
    np.testing.assert_array_max_ulp(seen[0], expected(model, arrays)["y"], maxulp=4)


def test_an_output_goes_into_the_next_run(whole, gpu):
    path, model = whole
    session = load(path)
    arrays = feeds(3)
    first = session.run({name: Tensor(gpu.cuda, np.asarray(a)) for name, a in arrays.items()})
    with session.device.lend_stream():  # so that the next run is on another stream
        second = session.run(arrays | {"x": first["y"]})
    wanted = expected(model, arrays | {"x": expected(model, arrays)["y"]})
    np.testing.assert_array_max_ulp(second["y"].numpy(), wanted["y"], maxulp=64)


@pytest.mark.parametrize("kind", ["whole", "hybrid"])
def test_memory_is_given_back(kind, request, gpu):
    session = load(request.getfixturevalue(kind)[0])
    for _ in range(3):
        session.run(feeds(8))
    for _ in range(20):
        outputs = session.run({n: Tensor(gpu.cuda, np.asarray(a)) for n, a in feeds(8).items()})
        for array in outputs.values():
            array.numpy()
    del outputs, array
    session.run(feeds(8))
    for stream in list(gpu.cuda.streams):
        gpu.cuda.drain(stream)
    assert gpu.cuda.used == 0


def test_tensors_of_another_library_in_the_hosts_memory_are_like_numpys(whole, gpu):
    class OnHost:
        """As torch has them: no numpy array, though in the host's memory."""

        def __init__(self, array):
            self.array, self.shape, self.dtype = array, array.shape, f"torch.{array.dtype.name}"

        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self):
            return self.array.__dlpack__()

    path, model = whole
    x = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)[:, ::2]
    arrays = feeds(3) | {"x": np.ascontiguousarray(x)}
    actual = load(path).run(arrays | {"x": OnHost(x)})
    assert all(isinstance(array, np.ndarray) for array in actual.values())
    same(actual, expected(model, arrays))


@pytest.mark.parametrize("eager", [0.0, 0.6])
@pytest.mark.parametrize("kind", ["whole", "hybrid"])
def test_many_threads_share_one_session(kind, eager, request, gpu):
    gpu.cuda.eager = eager
    path, model = request.getfixturevalue(kind)
    session = load(path)
    wanted = {seed: expected(model, feeds(seed + 1, seed % 2 == 0, seed)) for seed in range(6)}
    wrong = []

    def work(seed):
        try:
            for _ in range(5):
                actual = session.run(feeds(seed + 1, seed % 2 == 0, seed))
                for name, value in wanted[seed].items():
                    np.testing.assert_array_max_ulp(actual[name], value, maxulp=4)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_contexts_are_shared_and_their_number_is_bounded(whole, gpu):
    session = load(whole[0])
    tensors = {name: Tensor(gpu.cuda, np.asarray(a)) for name, a in feeds(2).items()}
    outputs = [session.run(tensors) for _ in range(12)]  # none is waited for
    assert len(gpu.trt.contexts) == 4
    same({n: a.numpy() for n, a in outputs[-1].items()}, expected(whole[1], feeds(2)))
    same({n: a.numpy() for n, a in outputs[0].items()}, expected(whole[1], feeds(2)))


def test_fewer_contexts_do_where_there_is_no_memory_for_more(whole, gpu):
    gpu.trt.context_limit = 1
    session = load(whole[0])
    tensors = {name: Tensor(gpu.cuda, np.asarray(a)) for name, a in feeds(2).items()}
    outputs = [session.run(tensors) for _ in range(5)]
    same({n: a.numpy() for n, a in outputs[-1].items()}, expected(whole[1], feeds(2)))
    gpu.trt.context_limit = 0
    with pytest.raises(BackendError, match=r"cannot make an execution context: .*OutOfMemory") as caught:
        load(whole[0]).run(feeds(2))
    assert caught.value.hint == "free memory on the GPU"


def test_memory_kept_for_the_next_run_is_given_up_for_a_context(whole, gpu):
    session = load(whole[0])
    gpu.trt.context_limit = 0
    gpu.cuda.on_trim = lambda: setattr(gpu.trt, "context_limit", 1)
    same(session.run(feeds(2)), expected(whole[1], feeds(2)))


# ---- shapes and dtypes


def test_a_shape_outside_the_profile_is_named_with_the_range(whole, gpu):
    session = load(whole[0])
    wanted = r"input 'x' has shape \[9, 500\], and the engine takes \[1…8, 500\]"
    with pytest.raises(FeedError, match=wanted) as caught:
        session.run(feeds(9))
    assert "--max-shapes" in caught.value.hint


def test_the_nearest_profile_is_used(tmp_path, gpu):
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[N] x) => (float[N] y) { y = Neg(x) }'
    )
    small, large = {"x": ((1,), (2,), (64,))}, {"x": ((16,), (64,), (256,))}
    engine = ImaginedTensorRT(profiles=[small, large])
    write(tmp_path / "model.gopt", model, (engine,), target=TARGET)
    session = load(tmp_path / "model.gopt")
    for size, profile in ((1, 0), (17, 1), (16, 1), (4, 0), (200, 1)):
        x = np.arange(size, dtype=np.float32)
        np.testing.assert_array_equal(session.run({"x": x})["y"], -x)
        used = [context for context in gpu.trt.contexts if context.shapes.get("x") == (size,)]
        assert [context.profile for context in used] == [profile]
    with pytest.raises(FeedError, match=r"\[300\], and the engine takes \[1…64\] or \[16…256\]"):
        session.run({"x": np.zeros(300, np.float32)})


@pytest.mark.parametrize("kind", ["whole", "hybrid"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, "input 'x' is missing"),
        ({"z": np.ones(1)}, "there is no input 'z'"),
        ({"x": np.ones((3, 500))}, r"input 'x' has dtype float64 \(expected x: float32\[N, 500\]\)"),
        ({"x": np.ones(500, "f4")}, "rank 1 instead of 2"),
        ({"x": np.ones((3, 7), "f4")}, r"axis 1 is 7 instead of 500"),
        ({"x": [1.0]}, "is a list, not a numpy array"),
    ],
)
def test_feeds_that_do_not_fit_are_explained(kind, change, message, request, gpu):
    session = load(request.getfixturevalue(kind)[0])
    with pytest.raises(FeedError, match=message) as caught:
        session.run(feeds() | change)
    assert "\n" not in str(caught.value)


def test_arrays_of_another_library_that_do_not_fit_are_explained(whole, gpu):
    session = load(whole[0])
    cuda, x = gpu.cuda, feeds(3)["x"]
    wide = Tensor(cuda, x.astype(np.float64))
    with pytest.raises(FeedError, match=r"input 'x' has dtype float64"):
        session.run(feeds(3) | {"x": wide})
    with pytest.raises(FeedError, match="input 'x' is on GPU 1, the artifact on GPU 0") as caught:
        session.run(feeds(3) | {"x": Tensor(cuda, x, device=1)})
    assert "load(…, device=1)" in caught.value.hint

    class Elsewhere(Tensor):
        def __dlpack_device__(self):
            return (10, 0)

    with pytest.raises(FeedError, match=r"of a kind a GPU of NVIDIA does not see \(DLPack device 10\)"):
        session.run(feeds(3) | {"x": Elsewhere(cuda, x)})

    class Grad(Tensor):
        def __dlpack__(self, *, stream=None):
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")

    with pytest.raises(FeedError, match=r"input 'x' cannot be taken over: .*tensor\.detach\(\)"):
        session.run(feeds(3) | {"x": Grad(cuda, x)})


def test_a_slice_of_somebody_elses_memory_is_aligned_first(whole, gpu):
    x = feeds(3)["x"]
    tensor = Tensor(gpu.cuda, x, offset=2000, late=True)
    actual = load(whole[0]).run(feeds(3) | {"x": tensor})
    same({name: array.numpy() for name, array in actual.items()}, expected(whole[1], feeds(3)))


def test_sizes_that_depend_on_values_come_out(tmp_path, gpu):
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (float[8] x) => (int64[1, M] where, float[8] y) { where = NonZero(x) y = Neg(x) }"
    )
    write(tmp_path / "model.gopt", model, (ImaginedTensorRT(open_outputs=["where"]),), target=TARGET)
    for cuda_graph in (False, True):
        session = load(tmp_path / "model.gopt", cuda_graph=cuda_graph)
        for seed in range(4):
            x = np.random.default_rng(seed).integers(0, 2, 8).astype(np.float32)
            actual = session.run({"x": x})
            np.testing.assert_array_equal(actual["where"], np.array(np.nonzero(x)))
            np.testing.assert_array_equal(actual["y"], -x)
    assert session.run({"x": Tensor(gpu.cuda, np.zeros(8, np.float32))})["where"].shape == (1, 0)
    tensor = Tensor(gpu.cuda, np.ones(8, np.float32))
    gpu.cuda.limit = gpu.cuda.used + 40  # enough for y alone
    with pytest.raises(BackendError, match="OutOfMemory") as caught:
        session.run({"x": tensor})
    assert caught.value.hint == "free memory on the GPU"


def test_inputs_that_decide_about_shapes_are_read_from_the_host(tmp_path, gpu):
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 21]>\n'
        "g (float[12] x, int64[2] shape) => (float[A, B] y) { y = Reshape(x, shape) }"
    )
    write(tmp_path / "model.gopt", model, (ImaginedTensorRT(on_host=["shape"]),), target=TARGET)
    x = np.arange(12, dtype=np.float32)
    for cuda_graph in (False, True):
        session = load(tmp_path / "model.gopt", cuda_graph=cuda_graph)
        for shape in ([3, 4], [2, 6]):
            feed = {"x": x, "shape": np.array(shape)}
            np.testing.assert_array_equal(session.run(feed)["y"], x.reshape(shape))
            feed["shape"] = Tensor(gpu.cuda, np.array(shape), late=True)
            np.testing.assert_array_equal(session.run(feed)["y"].numpy(), x.reshape(shape))


@pytest.mark.parametrize("dtype", ["float16", "int8", "int32", "int64", "bool", "uint8"])
def test_every_dtype_of_an_engine_goes_through(dtype, tmp_path, gpu):

    model = ir.from_onnx_text(
        f'<ir_version: 10, opset_import: ["" : 21]> g ({dtype}[4] x) => ({dtype}[4] y) {{ y = Identity(x) }}'
    )
    write(tmp_path / "model.gopt", model, (ImaginedTensorRT(),), target=TARGET)
    x = np.array([0, 1, 1, 0]).astype(dtype)
    session = load(tmp_path / "model.gopt")
    assert session.run({"x": x})["y"].dtype == dtype
    np.testing.assert_array_equal(session.run({"x": x})["y"], x)


def test_a_session_on_the_cpu_has_no_streams(single):
    with pytest.raises(UsageError, match="this session runs on the CPU: it has no streams"):
        load(single[0]).run(feeds(), stream=7)
