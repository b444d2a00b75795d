"""Models whose sizes stay open: one engine for a range of shapes, and a word about which are missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from click.testing import CliRunner

from benchmarks.cuda_share import ENGINE, LEAST_SHARE, TARGET, compile_zoo, share_of
from benchmarks.workloads import sample
from graphopt.artifact.reader import open_artifact
from graphopt.cli.main import graphopt as command
from graphopt.errors import UsageError

if TYPE_CHECKING:
    from tests.conftest import Zoo

pytestmark = pytest.mark.zoo

Shapes = dict[str, tuple[int, ...]]

RANGES: dict[str, tuple[Shapes, Shapes, Shapes]] = {
    "ppocr_rec": ({"x": (1, 3, 48, 160)}, {"x": (1, 3, 48, 320)}, {"x": (4, 3, 48, 640)}),
    "bert_minilm_l3": (
        {"input_ids": (1, 8), "attention_mask": (1, 8)},
        {"input_ids": (1, 64), "attention_mask": (1, 64)},
        {"input_ids": (8, 256), "attention_mask": (8, 256)},
    ),
    "tashkeel_bilstm_int8": ({"input_ids": (1, 8)}, {"input_ids": (1, 64)}, {"input_ids": (1, 128)}),
}
"""Model → its smallest, usual and largest shapes."""


@pytest.mark.parametrize("name", RANGES)
def test_one_engine_serves_a_range_of_shapes(name: str, zoo: Zoo, tmp_path: Path) -> None:
    least, usual, most = RANGES[name]
    result = compile_zoo(
        name,
        zoo(name),
        tmp_path / "m.gopt",
        min_shapes=least,
        opt_shapes=usual,
        max_shapes=most,
    )
    where = share_of(result)
    assert where.in_engines >= LEAST_SHARE, where.refused
    engines = [r for r in open_artifact(result.path).manifest.regions if r.backend == ENGINE]
    assert len(engines) == 1
    (profile,) = cast("list[dict[str, dict[str, list[int]]]]", engines[0].options["profiles"])
    for key in least:
        found = {bound: tuple(dims) for bound, dims in profile[key].items()}
        assert found == {"least": least[key], "usual": usual[key], "most": most[key]}
    assert result.report.equality is not None
    assert result.report.equality["equal"]


def test_an_open_size_without_a_range_is_a_usage_error(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x.*--shape|--shape.*--min-shapes") as caught:
        compile_zoo("ppocr_det", zoo("ppocr_det"), tmp_path / "m.gopt", shapes=None, inputs=None)
    assert "\n" not in str(caught.value)


def test_a_range_cannot_contradict_the_model(zoo: Zoo, tmp_path: Path) -> None:
    shape = sample("picodet_layout")["image"].shape
    with pytest.raises(UsageError, match="is 1 in the model, and its range goes from 1 to 2"):
        compile_zoo(
            "picodet_layout",
            zoo("picodet_layout"),
            tmp_path / "m.gopt",
            opt_shapes={"image": shape},
            max_shapes={"image": (2, *shape[1:])},
        )


def test_the_command_says_where_everything_runs(zoo: Zoo, tmp_path: Path) -> None:
    dims = "x".join(map(str, sample("ppocr_cls")["x"].shape))
    words = ["compile", str(zoo("ppocr_cls")), "--target", TARGET, "--shape", f"x:{dims}", "--strict"]
    artifact = tmp_path / "m.gopt"
    done = CliRunner().invoke(command, [*words, "-o", str(artifact), "--precision", "fp16"])
    assert done.exit_code == 0, done.output
    assert ENGINE in done.output
    assert "100 %" in done.output
    assert "not run" in done.output
    (row,) = json.loads((artifact / "report.json").read_text())["placement"]
    assert (row["backend"], row["share"]) == (ENGINE, 1.0)
