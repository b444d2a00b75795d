"""The benchmark's own machinery, with engines of known speed in place of the peers."""

import json

import pytest

from benchmarks import engines, run
from benchmarks.compile_cost import compile_in_process, model_bytes
from benchmarks.machine import machine, machine_words, slug
from graphopt.errors import BackendError
from graphopt.measure.engine import Engine

MODEL = "light_squeezenet"  # comes with the onnx package


def peer(name, factory, **arguments):
    return engines.Peer(name, "a test", lambda _: Engine(name, f"tests.measure.engines:{factory}", arguments))


def refuses(_):
    raise BackendError("this tool cannot take the model")


@pytest.fixture
def peers(monkeypatch):
    found = (
        peer("onnxruntime", "clocked", seconds=0.002),
        peer("quick", "clocked", seconds=0.001),
        peer("broken", "raises", message="its own reason"),
        engines.Peer("refusing", "a test", refuses),
        engines.Peer("absent", "a test", refuses, {"no_such_module": "no-such-package"}),
    )
    monkeypatch.setattr(run, "PEERS", found)


def call(tmp_path, *arguments):
    output = tmp_path / "results" / "found.json"
    code = run.main(
        ["--models", MODEL, "--budget", "0.3", "--threads", "1", "--output", str(output), *arguments]
    )
    return code, json.loads(output.read_text(encoding="utf-8"))


def test_a_run_prints_a_table_and_writes_everything_down(peers, tmp_path, capsys):
    code, found = call(tmp_path)
    assert code == 0
    (row,) = found["models"]
    assert row["ratios"]["quick"]["verdict"] == "faster"
    assert "ValueError: its own reason" in row["failed"]["broken"]
    assert row["failed"]["refusing"] == "this tool cannot take the model"
    assert set(row["engines"]) == {"onnxruntime", "quick"}
    assert row["control"]["name"] == "onnxruntime (control)"
    assert found["means"]["quick"]["n"] == 1
    assert found["machine"]["processor"]
    assert {"python", "numpy", "onnx"} <= set(found["versions"])
    printed = capsys.readouterr().out
    for text in (
        MODEL,
        "A/A noise",
        "geometric mean  quick",
        "its own reason",
        "without absent: no_such_module is not installed",
        "pip install 'graphopt[bench]'",
        "written: ",
    ):
        assert text in printed
    assert [file.name for file in (tmp_path / "results").iterdir()] == ["found.json"]


def test_the_baseline_is_always_among_the_engines(peers, tmp_path):
    _, found = call(tmp_path, "--engines", "quick")
    assert set(found["engines"]) == {"onnxruntime", "quick"}


def test_a_slower_graphopt_is_a_failure(monkeypatch, tmp_path):
    slow = peer("graphopt", "clocked", seconds=0.002)
    monkeypatch.setattr(run, "PEERS", (peer("onnxruntime", "clocked", seconds=0.001), slow))
    monkeypatch.setattr(run, "_compile", lambda *_, **__: None)
    code, found = call(tmp_path)
    assert code == 1
    assert found["means"]["graphopt"]["slower_on"] == [MODEL]


def test_a_baseline_that_fails_is_a_row_without_figures(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(run, "PEERS", (peer("onnxruntime", "raises", message="no luck"),))
    _, found = call(tmp_path)
    assert "no luck" in found["models"][0]["failed"]["onnxruntime"]
    assert "no luck" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--models", "nothing"], ["--engines", "nothing"]])
def test_unknown_names_are_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run.main(arguments)
    assert caught.value.code == 2
    assert "nothing" in capsys.readouterr().err


def test_an_interrupted_run_keeps_what_it_has(peers, monkeypatch, tmp_path):
    measure = run._measure

    def once(row, *arguments):
        if row["model"] != MODEL:
            raise KeyboardInterrupt
        measure(row, *arguments)

    monkeypatch.setattr(run, "_measure", once)
    code, found = call(tmp_path, "--models", f"{MODEL},light_shufflenet")
    assert code == 130
    assert [row["model"] for row in found["models"]] == [MODEL]


def test_every_peer_says_what_it_needs():
    assert [found.name for found in engines.PEERS] == [
        *("graphopt", "onnxruntime", "openvino-f32", "openvino", "onnxslim", "onnxsim"),
    ]
    assert all(found.packages and found.what for found in engines.PEERS)


@pytest.mark.parametrize("tool", ["onnxslim", "onnxsim"])
def test_a_tool_that_cannot_take_a_file_fails_with_its_reason(tool, tmp_path):
    pytest.importorskip(tool, reason=f"{tool} is a peer: pip install 'graphopt[bench]'")
    damaged = tmp_path / "m.onnx"
    damaged.write_bytes(b"\x08\x07 no model")
    case = engines.Case("m", damaged, None, tmp_path / "f.npz", tmp_path / "f.npz", 1, tmp_path)
    found = next(peer for peer in engines.PEERS if peer.name == tool)
    with pytest.raises(BackendError, match=f"{tool} failed: "):
        found.prepare(case)


def test_the_cost_of_a_compile_is_that_of_its_own_process(zoo, tmp_path):
    model = zoo(MODEL)
    held = bytearray(b"x") * (400 << 20)  # what this process holds must not count
    cost = compile_in_process(model, tmp_path / "m.gopt", measure=False, threads=1)
    assert (tmp_path / "m.gopt").is_dir()
    assert cost.shipped == "optimised"
    assert cost.verdict in ("exact", "rounding")
    assert cost.process_seconds > cost.compile_seconds > 0
    assert 0 < cost.peak_rss_bytes < len(held)
    assert cost.model_bytes == model_bytes(model) == model.stat().st_size


def test_a_failing_compile_gives_its_last_line(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(BackendError, match=r"compiling failed: .*m\.onnx"):
        compile_in_process(tmp_path / "m.onnx", tmp_path / "m.gopt", measure=False, threads=1)


def test_the_machine_is_described():
    found = machine()
    assert f"{found['cores']} cores" in machine_words(found)
    assert slug(found).replace("-", "").isalnum()
    assert json.dumps(found)
