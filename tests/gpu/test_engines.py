"""Engines on a real GPU: what they compute, profiles, threads, CUDA graphs, refusals."""

import threading

import numpy as np
import pytest

from benchmarks.gpu.rtx import rtx_answer
from graphopt.artifact.writer import ArtifactWriter
from graphopt.backends.signature import model_inputs, model_outputs
from graphopt.backends.tensorrt.module import find_library
from graphopt.errors import BackendError, FeedError
from graphopt.runtime.session import load

from .models import TINY, check_tiny, engine_target, tiny_engine, tiny_feeds


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Write an artifact of the tiny model around a blob."""

    def written(blob, device):
        path = tmp_path_factory.mktemp("tiny") / "model.gopt"
        inputs, outputs = model_inputs(TINY), model_outputs(TINY)
        with ArtifactWriter(path) as writer:
            writer.add_region(blob, [info.name for info in inputs], [info.name for info in outputs])
            writer.add_model(TINY)
            target = engine_target(device).to_json()
            writer.commit(inputs=inputs, outputs=outputs, threads=1, target=target)
        return path

    return written


def test_what_tensorrt_rtx_says_to_this_card_is_known(device, record_property):
    try:
        find_library("tensorrt_rtx")
    except BackendError as error:
        pytest.skip(error.message)
    answer = rtx_answer()
    record_property("tensorrt_rtx on this card", answer)
    print(answer)
    assert "no reason given" not in answer


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_an_engine_computes_what_the_model_does(cuda_graph, device, write):
    session = load(write(tiny_engine(device), device), cuda_graph=cuda_graph)
    for rows in (1, 4, 16, 4):
        for seed in range(3):
            check_tiny(session.run(tiny_feeds(rows, seed)), tiny_feeds(rows, seed))


def test_the_profile_is_chosen_by_the_shapes(device, write):
    session = load(write(tiny_engine(device, ((1, 2, 4), (8, 16, 64))), device))
    for rows in (1, 4, 8, 64):
        check_tiny(session.run(tiny_feeds(rows)), tiny_feeds(rows))
    with pytest.raises(FeedError, match=r"\[1…4, 64\] or \[8…64, 64\]"):
        session.run(tiny_feeds(6))


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_threads_share_a_session(cuda_graph, device, write):
    session = load(write(tiny_engine(device), device), cuda_graph=cuda_graph)
    wrong = []

    def work(seed):
        try:
            for _ in range(50):
                check_tiny(session.run(tiny_feeds(1 + seed, seed)), tiny_feeds(1 + seed, seed))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_tensors_of_torch_go_in_and_come_out(cuda_graph, device, write):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    session = load(write(tiny_engine(device), device), cuda_graph=cuda_graph)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for seed in range(20):
            feeds = tiny_feeds(4, seed)
            tensors = {name: torch.from_numpy(array).cuda() for name, array in feeds.items()}
            outputs = session.run(tensors, stream=stream)
            values = {name: torch.from_dlpack(array).cpu().numpy() for name, array in outputs.items()}
            check_tiny(values, feeds)


def test_a_damaged_engine_is_an_error(device):
    library = find_library("tensorrt_rtx")
    from graphopt.backends.tensorrt.logger import log_of

    with device.active():
        runtime = library.api.Runtime(log_of(library).handle)
        assert runtime.deserialize_cuda_engine(b"x" * 1000) is None


def test_runs_do_not_leak(device, write):
    session = load(write(tiny_engine(device), device))
    feeds = tiny_feeds(16)
    for _ in range(50):
        session.run(feeds)
    before = device.free_bytes()
    for _ in range(500):
        session.run(feeds)
    assert before - device.free_bytes() < 8 << 20
    assert np.isfinite(session.run(feeds)["y"]).all()
