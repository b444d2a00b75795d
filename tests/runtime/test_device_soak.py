"""Threads that do everything a session on a GPU allows at once, in random order, on an imagined one."""

import gc
import random
import threading

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend
from graphopt.runtime.session import load

from .conftest import feeds, mixed_model, write
from .imagined import TARGET, Tensor, take
from .test_device_session import EngineFor, expected, same

RUNS = 12
THREADS = 4


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """An artifact of one engine and one of engines and regions on the CPU in turns."""
    folder = tmp_path_factory.mktemp("soak")
    write(folder / "whole.gopt", mixed_model(), (EngineFor(),), target=TARGET)
    model = mixed_model()
    for node in model.graph:
        node.outputs[0].shape = ir.Shape(["N", 500])
    backends = (EngineFor(leaves=("Tanh", "If")), OnnxRuntimeBackend())
    write(folder / "hybrid.gopt", model, backends, target=TARGET)
    return folder / "whole.gopt", folder / "hybrid.gopt"


@pytest.fixture(scope="module")
def wanted():
    """The outputs for each number of rows and seed."""
    keys = [(rows, seed) for rows in (1, 3, 8) for seed in range(4)]
    return {key: expected(mixed_model(), arrays(key)) for key in keys}


def arrays(key):
    rows, seed = key
    return feeds(rows, seed % 2 == 0, seed)


def run_once(session, cuda, rng, key):
    """One run with numpy's arrays or another library's, with a stream or without."""
    stream = cuda.cudaStreamCreateWithFlags(1)[1]
    way = rng.choice(("numpy", "tensors", "stream"))
    if way == "numpy":
        return session.run(arrays(key))
    tensors = {n: Tensor(cuda, np.asarray(a), late=True, stream=stream) for n, a in arrays(key).items()}
    return session.run(tensors, stream=stream) if way == "stream" else session.run(tensors)


def values_of(outputs, cuda, rng):
    """The outputs as the caller sees them, who asks in one way or another."""
    return {
        name: array
        if isinstance(array, np.ndarray)
        else (array.numpy() if rng.random() < 0.5 else take(cuda, array))
        for name, array in outputs.items()
    }


def work(session, cuda, seed, wanted, wrong):
    """Runs, some of whose outputs are looked at only much later, or never."""
    rng = random.Random(seed)
    kept = []
    try:
        for _ in range(RUNS):
            key = rng.choice(tuple(wanted))
            kept.append((key, run_once(session, cuda, rng, key)))
            if rng.random() < 0.5:
                key, outputs = kept.pop(rng.randrange(len(kept)))
                same(values_of(outputs, cuda, rng), wanted[key])
    except BaseException as error:
        wrong.append(error)


def soak(seed, gpu, paths, wanted):
    rng = random.Random(seed)
    gpu.cuda.random.seed(seed)
    gpu.cuda.eager = rng.choice((0.0, 0.3, 0.8))
    session = load(rng.choice(paths), cuda_graph=rng.random() < 0.5)
    wrong = []
    threads = [
        threading.Thread(target=work, args=(session, gpu.cuda, f"{seed} {number}", wanted, wrong))
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not gpu.cuda.broken
    gc.collect()


@pytest.mark.parametrize("seed", range(4))
def test_everything_at_once(seed, gpu, paths, wanted):
    soak(seed, gpu, paths, wanted)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4, 200))
def test_everything_at_once_for_long(seed, gpu, paths, wanted):
    soak(seed, gpu, paths, wanted)
