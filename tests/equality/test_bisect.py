"""``bisect``: the guilty pass, the smallest piece, and a reproduction that runs anywhere."""

import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass

import onnx
import onnx_ir as ir
import pytest

from graphopt.driver.bisect import bisect, bisect_graph, bisect_passes, write_reproduction
from graphopt.pipeline.pass_base import Pass
from tests.equality.models import attention, perceptron, prepare, unoptimised
from tests.equality.wrong import ChangeEpsilon, CutRoot, DropMask, ScaleMatrix, SwapOutputs


@dataclass(frozen=True)
class Innocent(Pass):
    """Does nothing."""

    def run(self, model, ctx):
        return False


@dataclass(frozen=True)
class AlsoInnocent(Pass):
    """Renames nothing."""

    def run(self, model, ctx):
        return False


def test_the_guilty_prefix_is_found_by_bisection():
    names = [f"p{i}" for i in range(16)]
    oracle = prepare(perceptron())
    tried = []

    def build(prefix):
        tried.append(len(prefix))
        changed = perceptron()
        if "p11" in prefix:
            CutRoot().run(changed, None)
        return unoptimised(changed)

    guilty = bisect_passes(names, build, oracle)
    assert (guilty.pass_name, guilty.index) == ("p11", 11)
    assert len(tried) <= 7
    assert bisect_passes(names[:11], build, oracle) is None


def test_the_smallest_piece_of_a_cut_root():
    changed = perceptron()
    CutRoot().run(changed, None)
    feeds = prepare(perceptron()).feeds[0].values
    found = bisect_graph(perceptron(), changed, unoptimised, feeds)
    assert found.value == "scaled"
    assert [node.op_type for node in found.before.graph] == ["Div"]
    assert list(found.feeds) == ["hb"]
    assert not found.report.equal


def test_the_smallest_piece_of_a_dropped_mask():
    original = attention()
    changed = original.clone()
    DropMask().run(changed, None)
    feeds = prepare(original).feeds[0].values
    found = bisect_graph(original, changed, unoptimised, feeds)
    assert found.value == "p"
    assert len(found.after.graph) <= 2
    assert len(found.before.graph) <= 3


def test_a_legal_change_of_meaning_is_not_accused():
    """A fusion keeps the name of a value for something else: its readers tell."""
    original = perceptron()
    changed = perceptron()
    CutRoot().run(changed, None)
    add = next(node for node in changed.graph if node.op_type == "Add")
    matmul = add.inputs[0].producer()
    bias, weight = add.inputs[1], matmul.inputs[1]
    gemm = ir.node("Gemm", [matmul.inputs[0], weight, bias], name="fused")
    gemm.outputs[0].name = "h"
    changed.graph.insert_before(add, gemm)
    add.outputs[0].replace_all_uses_with(gemm.outputs[0])
    changed.graph.remove([add, matmul], safe=True)
    found = bisect_graph(original, changed, unoptimised, prepare(original).feeds[0].values)
    assert found.value != "h"
    assert not found.report.equal


@pytest.mark.parametrize("wrong", [CutRoot(), DropMask()], ids=["cut root", "dropped mask"])
def test_end_to_end_with_a_reproduction(tmp_path, wrong):
    original = attention() if isinstance(wrong, DropMask) else perceptron()
    report = bisect(
        ir.to_proto(original),
        passes=[Innocent(), wrong, AlsoInnocent()],
        output=tmp_path / "case.zip",
        threads=1,
    )
    assert report.guilty == type(wrong).name()
    assert not report.equal
    assert report.nodes_before < report.model_nodes
    assert json.loads(json.dumps(report.to_json()))["guilty"] == report.guilty
    folder = tmp_path / "case"
    with zipfile.ZipFile(tmp_path / "case.zip") as archive:
        archive.extractall(folder)
    expected = {
        "before.onnx",
        "after.onnx",
        "inputs.npz",
        "expected.npz",
        "actual.npz",
        "case.json",
        "README.md",
    }
    assert expected | {"repro.py"} == {file.name for file in folder.iterdir()}
    assert reproduce(folder).returncode == 1
    (folder / "after.onnx").write_bytes((folder / "before.onnx").read_bytes())
    done = reproduce(folder)
    assert (done.returncode, done.stderr) == (0, "")


def reproduce(folder):
    """Run the script where graphopt cannot be imported."""
    script = (
        "import runpy, sys\n"
        "sys.modules['graphopt'] = None\n"
        "sys.argv = ['repro.py']\n"
        "runpy.run_path('repro.py', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_nothing_wrong_is_said_so():
    report = bisect(ir.to_proto(perceptron()), passes=[Innocent(), AlsoInnocent()], threads=1)
    assert report.equal
    assert "nothing is wrong" in report.sentence


def test_a_model_that_only_breaks_is_blamed_without_a_piece(tmp_path):
    @dataclass(frozen=True)
    class Break(Pass):
        """Drops an output."""

        def run(self, model, ctx):
            model.graph.outputs.clear()
            model.graph.outputs.append(model.graph.inputs[0])
            return True

    report = bisect(
        ir.to_proto(perceptron()), passes=[Innocent(), Break()], output=tmp_path / "x.zip", threads=1
    )
    assert report.guilty == "break"


def test_names_that_are_no_file_names_survive(tmp_path):
    original, changed = perceptron(), perceptron()
    CutRoot().run(changed, None)
    for m in (original, changed):
        m.graph.inputs[0].name = "a/b:0"
    found = bisect_graph(
        original, changed, unoptimised, {"a/b:0": prepare(perceptron()).feeds[0].values["x"]}
    )
    path = write_reproduction(tmp_path / "case.zip", found, title="strange names")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "case")
    onnx.checker.check_model(tmp_path / "case" / "before.onnx")
    assert reproduce(tmp_path / "case").returncode == 1


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("bert_minilm_l3", DropMask()),
        ("bert_minilm_l3", ChangeEpsilon()),
        ("bert_minilm_l3", ScaleMatrix()),
        ("basic_pitch", SwapOutputs()),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_real_models(zoo, tmp_path, name, wrong):
    report = bisect(zoo(name), passes=[Innocent(), wrong], output=tmp_path / "case.zip", threads=1)
    assert report.guilty == type(wrong).name()
    assert report.nodes_before <= report.model_nodes // 4
    assert zipfile.is_zipfile(tmp_path / "case.zip")
