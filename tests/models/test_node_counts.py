"""After -O2 a real model has no more nodes than onnxslim or onnxsim leave, nor heavier or wider weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from benchmarks.node_counts import REASONS, count_nodes, recorded
from benchmarks.zoo.catalog import SETS
from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.ir.walk import constants, weight_bytes
from graphopt.pipeline.records import RemarkKind

if TYPE_CHECKING:
    from tests.conftest import Zoo

WEIGHTS_MAY_GROW = 1.01
EIGHT_BITS = frozenset({ir.DataType.INT8, ir.DataType.UINT8})
QUANTISED = ("smart_turn_qdq", "t5_encoder_int8", "tashkeel_bilstm_int8")


def _bytes_by_kind(model: ir.Model) -> Counter[str]:
    found: Counter[str] = Counter()
    for tensor in constants(model):
        found["8 bits" if tensor.dtype in EIGHT_BITS else "wider"] += tensor.nbytes
    return found


@pytest.mark.zoo
@pytest.mark.parametrize("name", SETS["shared"])
def test_no_more_nodes_than_the_rivals_and_no_heavier_weights(
    name: str, zoo: Zoo, record_property: Callable[[str, object], None]
) -> None:
    imported = import_model(zoo(name))
    weights, kinds = weight_bytes(imported), _bytes_by_kind(imported)
    done = optimize_model(imported, pipeline(), evaluate=evaluator())
    ours, rivals = count_nodes(ir.to_proto(done.model)), recorded()[1][name]
    record_property(f"nodes of {name}: as it came", rivals.input)
    record_property(f"nodes of {name}: lower of onnxslim and onnxsim", rivals.lowest)
    record_property(f"nodes of {name}: graphopt", ours.nodes)
    assert ours.nodes <= rivals.lowest or name in REASONS
    assert weight_bytes(done.model) <= WEIGHTS_MAY_GROW * weights
    if name in QUANTISED:
        _check_quantised(kinds, _bytes_by_kind(done.model))
    warnings = [remark.reason for remark in done.remarks if remark.kind is RemarkKind.WARNING]
    assert not [reason for reason in warnings if "still changed the model" in reason]


def _check_quantised(before: Counter[str], after: Counter[str]) -> None:
    assert before["8 bits"] > before["wider"], "the model is not quantised"
    # Zero points nothing reads go, scales per column come; no weight gets wider.
    assert after["8 bits"] >= 0.995 * before["8 bits"]
    assert after["wider"] - before["wider"] <= 0.005 * before.total()


def test_every_reason_is_about_a_model_that_needs_one() -> None:
    assert set(REASONS) <= set(SETS["shared"])
    assert set(recorded()[1]) == set(SETS["shared"])


def test_constants_are_not_counted_and_calls_are_one_node() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["": 23, "d": 1]>
        g (float[N] x, bool b) => (float[N] y) {
          c = Constant <value = float {2.0}> ()
          t = Mul (x, c)
          u = d.Named (t)
          v = d.Composite_1 (u)
          y = If (b) <
            then_branch = one () => (float[N] p) { p = Relu (v) },
            else_branch = two () => (float[N] q) { q = Identity (v) }
          >
        }
        <domain: "d", opset_import: ["": 23]> Named (x) => (y) { a = Neg (x)  y = Exp (a) }
        <domain: "d", opset_import: ["": 23]> Composite_1 (x) => (y) { a = Abs (x)  y = Sqrt (a) }
    """)
    counts = count_nodes(model)
    assert counts.nodes == len(["Mul", "Named", "Abs", "Sqrt", "If", "Relu", "Identity"])
    assert counts.spelled_out == counts.nodes + 1
