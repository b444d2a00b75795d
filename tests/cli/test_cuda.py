"""``--target cuda:…`` on the command line, on a machine that may have no GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx
import pytest

from graphopt.backends.base import Available
from graphopt.backends.registry import find_backend
from graphopt.cli.engine_options import parse_size
from graphopt.errors import UsageError
from tests.cli.conftest import Run

needs_tensorrt = pytest.mark.skipif(
    not isinstance(find_backend("tensorrt").availability(), Available), reason="no TensorRT is installed here"
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GiB", 2 << 30),
        ("512M", 512 << 20),
        ("1.5g", 3 << 29),
        ("64", 64 << 20),
        ("4096B", 4096),
        ("8 kb", 8192),
    ],
)
def test_sizes_are_read_in_every_spelling(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "0", "1 apple"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text)


@needs_tensorrt
def test_compile_for_a_gpu_prints_share_engines_and_what_was_not_done(folder: Path, graphopt: Run) -> None:
    done = graphopt(
        "compile", "tiny.onnx", "--target", "cuda:sm_86", "--precision", "fp16", "--optShapes", "x:2x4",
        "--memPoolSize", "workspace:64", "--builderOptimizationLevel", "1", cwd=folder,
    )  # fmt: skip
    assert done.code == 0, done.err
    for word in ("share", "100 %", "Engines", "sm_86", "in fp16", "Next: graphopt"):
        assert word in done.out
    shown = graphopt("explain", "tiny.gopt", cwd=folder)
    assert "nothing fell back" in shown.out
    report = json.loads((folder / "tiny.gopt" / "report.json").read_text())
    assert report["options"]["engine"]["workspace_bytes"] == 64 << 20
    assert report["engines"][0]["builder_level"] == 1


@needs_tensorrt
def test_a_profile_is_given_in_three_shapes(folder: Path, graphopt: Run) -> None:
    done = graphopt(
        "compile", "tiny.onnx", "--target", "cuda:sm_86", "--minShapes", "x:1x4", "--opt-shapes", "x:2x4",
        "--max-shapes", "x:8x4", "--json", cwd=folder,
    )  # fmt: skip
    assert done.code == 0, done.err
    (engine,) = json.loads(done.out)["engines"]
    assert engine["profiles"][0]["x"] == {"least": [1, 4], "usual": [2, 4], "most": [8, 4]}


@needs_tensorrt
def test_an_open_dim_says_what_to_type(folder: Path, graphopt: Run) -> None:
    done = graphopt("compile", "tiny.onnx", "--target", "cuda:sm_86", cwd=folder)
    done.fails(2, "axis 0 of input 'x' is open", "--shape x:1x4", "--max-shapes")


@needs_tensorrt
def test_opt_spells_a_model_for_trtexec(folder: Path, graphopt: Run) -> None:
    done = graphopt(
        "opt", "tiny.onnx", "-o", "trt.onnx", "--backend", "tensorrt", "--precision", "fp16",
        "--shape", "x:2x4", cwd=folder,
    )  # fmt: skip
    assert done.code == 0, done.err
    written = onnx.load(folder / "trt.onnx")
    assert not written.functions
    assert "Cast" in {node.op_type for node in written.graph.node}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--precision", "fp16"), ("a CPU gains nothing from fp16", "--target cuda:sm_86")),
        (("--max-shapes", "x:8x4"), ("ranges of shapes are for engines", "--target cuda")),
        (("--target", "cuda:sm_86", "--workspace", "lots"), ("'lots' is no size", "2GiB")),
    ],
)
def test_what_makes_no_sense_is_one_line(
    arguments: tuple[str, ...], words: tuple[str, ...], folder: Path, graphopt: Run
) -> None:
    graphopt("compile", "tiny.onnx", *arguments, cwd=folder).fails(2, *words)


def test_a_compile_for_the_cpu_imports_no_tensorrt(workshop: Path, tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys, graphopt;"
        f"graphopt.compile({str(workshop / 'tiny.onnx')!r}, output={str(tmp_path / 'm.gopt')!r},"
        "measure=False);"
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('tensorrt', 'tensorrt_rtx', 'tensorrt_rtx_bindings', 'cuda', 'cupy', 'torch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
