"""Models of every kind compile for NVIDIA GPUs; what no engine takes is named, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphopt
from benchmarks.cuda_share import ENGINE, share_of
from tests.cuda.odd_models import ODD_MODELS, Odd, model


# At fp16 the legalised float32 model is judged on the way; float32 engines are built under `make soak`.
@pytest.mark.parametrize("precision", [pytest.param("fp32", marks=pytest.mark.soak), "fp16"])
@pytest.mark.parametrize("odd", ODD_MODELS, ids=lambda odd: odd.name.replace(" ", "-"))
def test_an_odd_model_compiles(odd: Odd, precision: str, tmp_path: Path) -> None:
    result = graphopt.compile(
        model(odd), output=tmp_path / "m.gopt", target="cuda:sm_86", precision=precision, measure=False
    )
    where, equality = share_of(result), result.report.equality
    assert equality is not None
    assert equality["equal"], equality["sentence"]
    assert not result.report.dropped, [f"{d.pass_text}: {d.reason}" for d in result.report.dropped]
    assert (where.engines > 0) or not odd.engine, where.refused
    assert len(where.refused) == sum(where.nodes.values()) - where.nodes.get(ENGINE, 0)
