"""Every verb does its job end to end, and says the same as JSON."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import graphopt as library
from graphopt.cli.main import ALL_VERBS
from tests.cli.conftest import Run


def test_compile_run_and_pack_agree_with_onnxruntime(folder: Path, workshop: Path, graphopt: Run) -> None:
    assert graphopt("pack", workshop / "tiny.gopt", "-o", folder / "one.gopt").code == 0
    x = np.load(folder / "in.npz")["x"]
    session = ort.InferenceSession(str(folder / "tiny.onnx"), providers=["CPUExecutionProvider"])
    expected = dict(zip(("y", "z"), session.run(None, {"x": x}), strict=True))
    for artifact in (workshop / "tiny.gopt", folder / "one.gopt"):
        done = graphopt("run", artifact, "--inputs", "in.npz", "--outputs", "out.npz", cwd=folder)
        assert done.code == 0, done.err
        found = np.load(folder / "out.npz")
        assert list(found) == ["y", "z"]
        for name in found:
            np.testing.assert_array_almost_equal_nulp(found[name], expected[name], nulp=8)


def test_compile_prints_a_report(folder: Path, graphopt: Run) -> None:
    done = graphopt("compile", "tiny.onnx", "--no-measure", "--report", "page.html", cwd=folder)
    assert done.code == 0, done.err
    assert done.err == ""
    for word in ("eliminate-identity", "native", "Equality", "graphopt bench tiny.gopt"):
        assert word in done.out
    assert "<svg" in (folder / "page.html").read_text() or "<canvas" in (folder / "page.html").read_text()
    assert {"manifest.json", "model.onnx", "report.html", "report.json"} <= {
        path.name for path in (folder / "tiny.gopt").iterdir()
    }


@pytest.mark.parametrize("verb", [verb.name for verb in ALL_VERBS])
def test_the_installed_program_has_the_verb(verb: str, graphopt: Run) -> None:
    done = graphopt(verb, "--help", fresh=True)
    assert done.code == 0, done.err
    assert done.out.startswith(f"Usage: graphopt {verb} ")


@pytest.mark.timing
def test_compile_measures(folder: Path, graphopt: Run) -> None:
    done = graphopt("compile", "tiny.onnx", "--measure-seconds", "1", "--json", cwd=folder)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["measurement"]["ratio"]["n"] > 1
    assert report["equality"]["equal"]


def test_compile_replays(folder: Path, workshop: Path, graphopt: Run) -> None:
    done = graphopt(
        "compile", "tiny.onnx", "-o", "new.gopt", "--replay", workshop / "tiny.gopt", "--json", cwd=folder
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["artifact"] == "new.gopt"


def test_compile_takes_shapes_and_constants(folder: Path, graphopt: Run) -> None:
    done = graphopt("compile", "tiny.onnx", "--shape", "x:[5,4]", "--no-measure", "-q", cwd=folder)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert library.load(folder / "tiny.gopt").inputs[0].shape == (5, 4)
    done = graphopt("compile", "tiny.onnx", "--const", "x=[[1,2,3,4]]", "--no-measure", "-q", cwd=folder)
    assert done.code == 0, done.err
    assert not library.load(folder / "tiny.gopt").inputs


def test_compile_shows_the_pipeline_at_work(folder: Path, graphopt: Run) -> None:
    done = graphopt(
        "compile", "tiny.onnx", "--no-measure", "-q", "--print-after", "eliminate-identity",
        "--time-passes", "--verify-each", cwd=folder,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "after eliminate-identity" in done.err
    assert "share" in done.err
    assert done.out == ""


def test_bench(folder: Path, workshop: Path, graphopt: Run) -> None:
    done = graphopt("bench", workshop / "tiny.gopt", "--budget", "0.5", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert {"p50", "p90", "p95", "p99"} == set(report["engines"][0]["latency_us"])
    assert [engine["name"] for engine in report["engines"]][:2] == ["graphopt", "onnxruntime"]
    assert report["ratios"]["onnxruntime"]["n"] >= 1


def test_bench_reads_well(workshop: Path, graphopt: Run) -> None:
    done = graphopt("bench", workshop / "tiny.onnx", "--budget", "0.5", "--no-baseline")
    assert done.code == 0, done.err
    for word in ("p50", "p99", "per second", "peak MB", "threads"):
        assert word in done.out


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny.gopt"])
def test_inspect(name: str, workshop: Path, graphopt: Run) -> None:
    report = json.loads(graphopt("inspect", workshop / name, "--json").out)
    assert report["outputs"] == ["y: float32[N,3]", "z: float32[N,3]"]
    assert report["operators"].get("MatMul", 0) + report["operators"].get("Gemm", 0) == 1
    done = graphopt("inspect", workshop / name)
    assert done.code == 0, done.err
    assert "MatMul" in done.out or "Gemm" in done.out


def test_inspect_text(workshop: Path, graphopt: Run) -> None:
    assert "MatMul(" in graphopt("inspect", workshop / "tiny.onnx", "--text").out


def test_verify(folder: Path, workshop: Path, graphopt: Run) -> None:
    assert graphopt("verify", "tiny.onnx", workshop / "tiny.gopt", cwd=folder).code == 0
    model = onnx.load(folder / "tiny.onnx")
    model.graph.node[2].op_type = "Sub"
    onnx.save(model, folder / "other.onnx")
    done = graphopt("verify", "tiny.onnx", "other.onnx", cwd=folder)
    done.fails(3, "semantic")
    done = graphopt("verify", "tiny.onnx", "other.onnx", "--json", cwd=folder)
    assert done.code == 3
    assert json.loads(done.out)["verdict"] == "semantic"


def test_bisect_finds_nothing_wrong(folder: Path, graphopt: Run) -> None:
    done = graphopt("bisect", "tiny.onnx", "--json", cwd=folder)
    assert done.code == 0, done.err
    assert json.loads(done.out)["guilty"] == ""
    assert not list(folder.glob("*.zip"))


def test_opt(folder: Path, graphopt: Run) -> None:
    done = graphopt("opt", "tiny.onnx", "-o", "out.onnx", "--verify-each", cwd=folder)
    assert done.code == 0, done.err
    assert "Identity" in done.out
    assert "Identity" not in {node.op_type for node in onnx.load(folder / "out.onnx").graph.node}
    again = graphopt("opt", "out.onnx", "-p", "fold-constants,dead-code", "--json", cwd=folder)
    assert json.loads(again.out)["pipeline"] == "fold-constants,dead-code"


def test_opt_prints_text(folder: Path, graphopt: Run) -> None:
    done = graphopt("opt", "tiny.onnx", "-p", "sort-topologically", "--print-after-all", cwd=folder)
    assert "MatMul(" in done.out
    assert "after sort-topologically" in done.err


def test_passes(graphopt: Run) -> None:
    listed = json.loads(graphopt("passes", "--json").out)
    names = [record["name"] for record in listed["passes"]]
    assert "fold-constants" in names
    assert all(record["summary"] for record in listed["passes"])
    done = graphopt("passes", "fold-constants")
    assert "Before:" in done.out


def test_doctor(graphopt: Run) -> None:
    report = json.loads(graphopt("doctor", "--no-ceilings", "--json").out)
    assert report["can_compile"]
    assert report["threads"] >= 1
    assert "onnxruntime" in graphopt("doctor", "--no-ceilings").out


def test_python_does_the_same(folder: Path) -> None:
    result = library.compile(folder / "tiny.onnx", output=folder / "py.gopt", measure=False)
    assert result.path == folder / "py.gopt"
    x = np.load(folder / "in.npz")["x"]
    assert list(library.load(result.path).run({"x": x})) == ["y", "z"]
    slim = library.optimize(folder / "tiny.onnx", passes=["canonical", "dead-code"])
    assert len(list(slim.graph)) > 0


def test_the_reproduction_of_bisect_runs(folder: Path, graphopt: Run) -> None:
    """``bisect`` on a healthy model writes none; a wrong pass is what tests/equality covers."""
    shutil.copy(folder / "tiny.onnx", folder / "copy.onnx")
    assert graphopt("bisect", "copy.onnx", "-o", "case.zip", "-q", cwd=folder).code == 0
    assert not zipfile.is_zipfile(folder / "case.zip")


def test_run_without_inputs_and_with_sequences(tmp_path: Path, graphopt: Run) -> None:
    text = """<ir_version: 8, opset_import: ["": 17]>
    g () => (seq(float[M, 2]) parts, float[1, 2] s) <float[2, 2] w = {1.0, 2.0, 3.0, 4.0}> {
        parts = SplitToSequence <axis = 0> (w)
        s = ReduceSum (w, zero)
    }"""
    proto = onnx.parser.parse_model(text.replace("> {", ", int64[1] zero = {0}> {"))
    onnx.save(proto, tmp_path / "m.onnx")
    assert graphopt("compile", "m.onnx", "--no-measure", "-q", cwd=tmp_path).code == 0
    done = graphopt("run", "m.gopt", "--outputs", "out.npz", cwd=tmp_path)
    assert done.code == 0, done.err
    found = np.load(tmp_path / "out.npz")
    assert list(found) == ["parts[0]", "parts[1]", "s"]
    assert found["parts[1]"].tolist() == [[3.0, 4.0]]


def test_compile_reports_its_own_memory_and_not_its_parents(folder: Path, graphopt: Run) -> None:
    ballast = bytearray(600 << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    done = graphopt("compile", "tiny.onnx", "--no-measure", "--json", cwd=folder, fresh=True)
    assert len(ballast) > json.loads(done.out)["memory"]["compile peak"]
