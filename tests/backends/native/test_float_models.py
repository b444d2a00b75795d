"""Every real float model runs on the native core alone and computes what ONNX Runtime computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from graphopt.driver.opt import import_model
from graphopt.driver.verify import oracle_factory
from graphopt.equality.oracle import Oracle
from tests.backends.native.whole import built, opened, optimized

if TYPE_CHECKING:
    from tests.conftest import Zoo

pytestmark = pytest.mark.zoo

FLOAT_MODELS = (
    "basic_pitch",
    "bert_minilm_l3",
    "magika",
    "picodet_layout",
    "ppocr_cls",
    "ppocr_det",
    "ppocr_rec",
    "silero_vad",
    "terrain_unet",
    "vit_s_focus",
)


@pytest.mark.parametrize("name", FLOAT_MODELS)
def test_a_float_model_is_native_as_a_whole(name: str, zoo: Zoo) -> None:
    source = zoo(name)
    feeds = zoo.feeds(name, seed=5)
    oracle = Oracle.prepare(import_model(source), oracle_factory(2), inputs=feeds)
    blob = built(optimized(source))  # raises where a node is not claimed
    plan = opened(blob)

    report = oracle.judge(plan, "default")

    assert report.equal, report.sentence()
    first = {output: value.copy() for output, value in plan.run(feeds).items()}
    for threads in (1, 2):
        other = opened(blob, threads=threads).run(feeds)
        for output, value in first.items():
            np.testing.assert_array_equal(value, other[output], err_msg=f"{output} with {threads} threads")
