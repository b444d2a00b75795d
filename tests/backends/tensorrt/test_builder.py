"""The building process: what happens in it stays in it."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from graphopt.backends.engine_options import EngineOptions, ShapeRange
from graphopt.backends.tensorrt.building import builder as builder_module
from graphopt.backends.tensorrt.building.builder import Builder
from graphopt.backends.tensorrt.building.request import BuildRefused, BuildRequest, Output
from graphopt.errors import BackendError, UsageError
from tests.backends.tensorrt.models import PERCEPTRON, model

REQUEST = BuildRequest("tensorrt_rtx", "model.onnx", "model.plan", ("sm_86",), EngineOptions())


@pytest.fixture
def builder():
    found = Builder()
    yield found
    found.stop()


@pytest.fixture
def worker(monkeypatch, builder):
    """Let the process run other code for each line it reads; ``reply(...)`` answers."""
    popen = subprocess.Popen

    def run(code):
        text = (
            "import json, os, sys\n"
            "def reply(**kinds):\n    print(json.dumps(kinds), flush=True)\n"
            "for line in sys.stdin:\n" + textwrap.indent(code, "    ")
        )
        monkeypatch.setattr(
            builder_module.subprocess,
            "Popen",
            lambda args, **rest: popen([sys.executable, "-c", text], **rest),
        )
        return builder

    return run


def test_a_request_survives_the_way_there():
    profile = {"x": ShapeRange((1, 2), (3, 4), (5, 6))}
    options = EngineOptions(
        profiles=(profile,), workspace_bytes=7, builder_level=1, timing_cache="t", tf32=True
    )
    outputs = (Output("y", "float32", (1, -1)), Output("z", "bool", ()))
    request = BuildRequest("tensorrt", "m", "p", ("sm_86", "sm_89"), options, outputs)
    assert BuildRequest.from_json(request.to_json()) == request
    assert BuildRequest.from_json(REQUEST.to_json()) == REQUEST


def test_it_parses_and_builds_and_refuses(builder, tmp_path):
    import onnx_ir as ir

    path, plan = tmp_path / "model.onnx", tmp_path / "model.plan"
    ir.save(model(PERCEPTRON), path)
    only_parsed = BuildRequest("tensorrt_rtx", str(path), "", ("sm_86",), EngineOptions())
    assert builder.build(only_parsed).facts == {}
    assert not plan.exists()
    reply = builder.build(BuildRequest("tensorrt_rtx", str(path), str(plan), ("sm_86",), EngineOptions()))
    assert reply.facts["module"] == "tensorrt_rtx"
    assert plan.read_bytes()[:4] == b"vtrt"
    with pytest.raises(BuildRefused, match="cannot be found") as refused:
        builder.build(
            BuildRequest("tensorrt_rtx", str(tmp_path / "none.onnx"), "", ("sm_86",), EngineOptions())
        )
    assert refused.value.stage == "parse"


@pytest.mark.parametrize(("name", "number"), [("SIGSEGV", signal.SIGSEGV), ("SIGABRT", signal.SIGABRT)])
def test_a_process_that_dies_refuses_the_model_and_is_replaced(worker, name, number):
    builder = worker(
        f"os.write(2, b'terminate called\\nCHECK failed\\n'); os.kill(os.getpid(), {int(number)})\n"
    )
    for _ in range(2):
        with pytest.raises(BuildRefused, match=rf"TensorRT died of it \({name}\): CHECK failed") as refused:
            builder.build(REQUEST)
        assert refused.value.stage == "process"


def test_a_process_that_was_idle_for_long_is_replaced(worker, tmp_path):
    mark = tmp_path / "answered"
    code = f"import pathlib\nmark = pathlib.Path({str(mark)!r})\n"
    code += "if not mark.exists(): mark.touch(); sys.exit(0)\nreply(built={'facts': {'a': 1}, 'notes': []})\n"
    assert worker(code).build(REQUEST).facts == {"a": 1}


def test_a_process_that_never_answers_is_given_up(worker):
    with pytest.raises(BackendError, match="ends before it answers"):
        worker("sys.exit(0)\n").build(REQUEST)


def test_the_process_ends_when_nothing_is_asked(monkeypatch):
    code = (
        "from graphopt.backends.tensorrt.building import worker\nworker.IDLE_SECONDS = 0.05\nworker.main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.wait(timeout=30) == 0


def test_a_process_that_ends_by_itself_is_an_error_of_ours(worker):
    with pytest.raises(BackendError, match=r"ended with status 1: KeyError: 'x' \(graphopt doctor\)"):
        worker("{}['x']\n").build(REQUEST)


@pytest.mark.parametrize(("kind", "error"), [("UsageError", UsageError), ("NoSuchError", BackendError)])
def test_errors_come_back_as_what_they_were(worker, kind, error):
    failed = {"kind": kind, "message": "no such option", "hint": "leave it out"}
    with pytest.raises(error, match=r"no such option \(leave it out\)"):
        worker(f"reply(failed={failed!r})\n").build(REQUEST)


def test_a_refusal_comes_back_with_its_nodes(worker):
    refused = {"message": "no", "stage": "parse", "reasons": {"a": "why"}, "indices": [[3, "because"]]}
    with pytest.raises(BuildRefused) as found:
        worker(f"reply(refused={refused!r})\n").build(REQUEST)
    assert (found.value.reasons, found.value.indices) == ({"a": "why"}, {3: "because"})


def test_one_process_answers_many_requests(worker):
    builder = worker("reply(built={'facts': {'pid': os.getpid()}, 'notes': ['a']})\n")
    first, second = builder.build(REQUEST), builder.build(REQUEST)
    assert first == second
    assert first.notes == ("a",)
    assert first.facts["pid"] != os.getpid()
    builder.stop()
    assert builder.build(REQUEST).facts != first.facts


def test_what_libraries_print_does_not_reach_the_replies(capfd, builder, tmp_path):
    # TensorRT prints the failures of its compiler itself.
    import onnx_ir as ir

    text = "g (float[1, 2, 8, 20] q, float[1, 2, 8, 20] k, float[1, 1, 1, 8] m) => (float[1, 2, 8, 20] y) {"
    text += " a = Attention(q, k, k, m) y = Relu(a) }"
    ir.save(model(text, 23), tmp_path / "m.onnx")
    request = BuildRequest(
        "tensorrt_rtx", str(tmp_path / "m.onnx"), str(tmp_path / "p"), ("sm_86",), EngineOptions()
    )
    with pytest.raises(BuildRefused) as refused:
        builder.build(request)
    assert "/" not in refused.value.message.partition("http")[0]  # no path of TensorRT's sources
    assert capfd.readouterr() == ("", "")
