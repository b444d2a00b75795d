"""The quantised weights of real models stay quantised."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx_ir as ir
import pytest

from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.ir.walk import constants

if TYPE_CHECKING:
    from tests.conftest import Zoo

pytestmark = pytest.mark.zoo

EIGHT_BITS = frozenset({ir.DataType.INT8, ir.DataType.UINT8})
QUANTISED = ("smart_turn_qdq", "t5_encoder_int8", "tashkeel_bilstm_int8")


def _bytes_by_kind(model: ir.Model) -> Counter[str]:
    found: Counter[str] = Counter()
    for tensor in constants(model):
        found["8 bits" if tensor.dtype in EIGHT_BITS else "wider"] += tensor.nbytes
    return found


@pytest.mark.parametrize("name", QUANTISED)
def test_quantised_weights_stay_quantised(name: str, zoo: Zoo) -> None:
    model = import_model(zoo(name))
    before = _bytes_by_kind(model)
    after = _bytes_by_kind(optimize_model(model, pipeline()).model)
    assert before["8 bits"] > before["wider"], "the model is not quantised"
    # Zero points nothing reads go, scales per column come; no weight gets wider.
    assert after["8 bits"] >= 0.995 * before["8 bits"]
    assert after["wider"] - before["wider"] <= 0.005 * before.total()
