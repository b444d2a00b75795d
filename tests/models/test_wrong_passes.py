"""A pass that changes the answer is caught by the default compile, dropped and named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import graphopt
from graphopt.pipeline.pass_base import Pass
from tests.models.wrong_passes import ALL_WRONG, ScaleAWeight, SwapTwoOutputs

if TYPE_CHECKING:
    from tests.conftest import Zoo

pytestmark = pytest.mark.zoo


@pytest.mark.parametrize("wrong", ALL_WRONG, ids=lambda cls: cls.name())
def test_a_wrong_pass_is_dropped_and_named(wrong: type[Pass], zoo: Zoo, tmp_path: Path) -> None:
    source = zoo("bert_minilm_l3")
    result = graphopt.compile(
        source, output=tmp_path / "model.gopt", passes=["canonical", wrong(), "simplify,fold"], measure=False
    )
    report = result.report
    assert [d.pass_text for d in report.dropped] == [wrong.name()]
    assert report.equality is not None
    assert report.equality["equal"]
    assert wrong.name() not in {effect.pass_text for effect in report.effects}
    assert "fold-constants" in {effect.pass_text for effect in report.effects}, "the others stay"


def test_two_wrong_passes_are_both_found(zoo: Zoo, tmp_path: Path) -> None:
    passes = ["canonical", SwapTwoOutputs(), "simplify", ScaleAWeight(), "fold"]
    result = graphopt.compile(
        zoo("bert_minilm_l3"), output=tmp_path / "model.gopt", passes=passes, measure=False
    )
    assert {d.pass_text for d in result.report.dropped} == {ScaleAWeight.name(), SwapTwoOutputs.name()}


def test_the_dropped_pass_is_in_the_manifest_and_a_replay_leaves_it_out(zoo: Zoo, tmp_path: Path) -> None:
    source = zoo("bert_minilm_l3")
    first = graphopt.compile(
        source, output=tmp_path / "first.gopt", passes=["canonical", ScaleAWeight(), "fold"], measure=False
    )
    again = graphopt.compile(source, output=tmp_path / "again.gopt", replay=first.path)
    assert [d.pass_text for d in again.report.dropped] == [ScaleAWeight.name()]
    feeds = zoo.feeds("bert_minilm_l3", seed=3)
    a, b = graphopt.load(first.path).run(feeds), graphopt.load(again.path).run(feeds)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
