"""How commands end: usage errors, bugs, interruptions, closed pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from graphopt.cli.failures import guard
from graphopt.cli.main import graphopt as command
from graphopt.errors import ConstraintError, EqualityError, GraphoptError, ModelError, UsageError
from tests.cli.conftest import Run

USAGE = [
    [],
    ["frobnicate"],
    ["compile"],
    ["compile", "a.onnx", "--frobnicate"],
    ["compile", "a.onnx", "-O7"],
    ["compile", "a.onnx", "--threads", "0"],
    ["compile", "a.onnx", "--equality", "maybe"],
    ["compile", "a.onnx", "--no-measure", "--measure-each"],
    ["opt", "a.onnx", "-p", "no-such-pass"],
    ["opt", "a.onnx", "-p", "fold-constants{no-such-option=1}"],
    ["opt", "a.onnx", "--disable-pass", "no-such-pass"],
    ["passes", "no-such-pass"],
    ["bench", "a.onnx", "--baseline", "b.onnx", "--no-baseline"],
]


@pytest.mark.parametrize("words", USAGE, ids=" ".join)
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert guard(command, words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "(hint: " in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["--shape", "nope:1x4"], ["--shape", "x:1xx"], ["--const", "nope=1"]], ids=str
)
def test_usage_that_needs_the_model(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guard(command, ["opt", str(folder / "tiny.onnx"), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GraphoptError("no"), 1),
        (ModelError("a\nlong\nstory", "do this"), 1),
        (UsageError("no"), 2),
        (EqualityError("no"), 3),
        (ConstraintError("no"), 4),
        (MemoryError(), 1),
        (RuntimeError("std::bad_alloc"), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
        (OSError(28, "No space left on device", "x.gopt"), 1),
    ],
    ids=repr,
)
def test_exit_codes(error: BaseException, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def fails() -> None:
        raise error

    assert guard(fails, []) == code
    err = capfd.readouterr().err
    assert err.count("\n") == (0 if code == 141 else 1)
    assert "Traceback" not in err
    assert "bug" not in err


def test_a_bug_says_so_and_keeps_the_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fails() -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert guard(fails, ["--json"][:0]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "bug" in err
    [saved] = tmp_path.iterdir()
    assert str(saved) in err
    assert "ZeroDivisionError: surprise" in saved.read_text()


def test_debug_shows_the_traceback(tmp_path: Path, graphopt: Run) -> None:
    done = graphopt("--debug", "inspect", "nowhere.onnx", cwd=tmp_path)
    assert done.code == 1
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("error: ")


def test_json_failures_are_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert guard(command, ["inspect", "nowhere.onnx", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "ModelError"


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "table"])
def test_a_closed_pipe_is_no_drama(options: list[str], workshop: Path) -> None:
    program = [sys.executable, "-m", "graphopt.cli.main", "inspect", str(workshop / "tiny.onnx"), *options]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(program, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 141
    assert done.stderr == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_compile_leaves_nothing(number: int, code: int, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    program = [sys.executable, "-m", "graphopt.cli.main", "compile", "tiny.onnx", "--measure-seconds", "60"]
    process = subprocess.Popen(
        program, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    # Once something is being written beside the model, the compile is well under way.
    while len(list(folder.iterdir())) == len(before) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    # CPython may end itself by the signal after an interrupt that was handled; shells show 130 for both.
    assert process.returncode in {code, -number}, err
    assert err.count("\n") == 1
    assert out == ""
    assert sorted(path.name for path in folder.iterdir()) == before
