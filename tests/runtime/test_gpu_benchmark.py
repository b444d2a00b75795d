"""The GPU benchmark without a GPU: it says so; and on an imagined one, what it times is a whole inference."""

import json

import numpy as np
import pytest

from benchmarks.gpu import rtx, run
from benchmarks.gpu.engines import PEERS
from benchmarks.gpu.events import event_times
from graphopt.equality.feedfile import save_feeds

from .conftest import feeds, mixed_model, write
from .imagined import TARGET
from .test_device_session import EngineFor


def test_without_a_gpu_it_lists_what_it_would_do(gpu, capsys):
    gpu.cuda.driver = 0
    assert run.main(["--list", "--models", "magika"]) == 0
    text = capsys.readouterr().out
    assert "GPU: there is no NVIDIA driver here" in text
    assert all(peer.name in text for peer in PEERS)
    assert "models: magika" in text


def test_without_a_gpu_it_skips_with_the_reason_and_writes_nothing(gpu, capsys, tmp_path):
    gpu.cuda.driver = 0
    assert run.main(["--output", str(tmp_path / "result.json")]) == 0
    assert capsys.readouterr().out == "skipped: there is no NVIDIA driver here\n"
    assert not list(tmp_path.iterdir())
    assert rtx.rtx_answer() == "there is no NVIDIA driver here"


@pytest.mark.parametrize("name", ["graphopt", "graphopt, CUDA graph"])
def test_an_artifact_is_timed_with_every_input_set(name, gpu, tmp_path):
    path = tmp_path / "model.gopt"
    write(path, mixed_model(), (EngineFor(),), target=TARGET)
    files = [tmp_path / f"{seed}.npz" for seed in range(3)]
    for seed, file in enumerate(files):
        save_feeds(file, {key: np.asarray(array) for key, array in feeds(2 + seed, seed=seed).items()})
    (peer,) = (peer for peer in PEERS if peer.name == name)
    engine = peer.engine(path, files)
    json.dumps(dict(engine.arguments))
    found = event_times(engine, warm_up=3, timed=9)
    assert found["median"] == pytest.approx(0.25e6)
    assert found["n"] == 9
    shapes = {context.shapes["x"][0] for context in gpu.trt.contexts}
    assert shapes == {2, 3, 4} or "CUDA graph" not in name
