"""After -O2 a real model has no more nodes than onnxslim or onnxsim leave, and no heavier weights."""

from __future__ import annotations

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
from graphopt.ir.walk import weight_bytes
from graphopt.pipeline.records import RemarkKind

if TYPE_CHECKING:
    from tests.conftest import Zoo

WEIGHTS_MAY_GROW = 1.01


@pytest.mark.zoo
@pytest.mark.parametrize("name", SETS["shared"])
def test_no_more_nodes_than_the_rivals_and_no_heavier_weights(
    name: str, zoo: Zoo, record_property: Callable[[str, object], None]
) -> None:
    imported = import_model(zoo(name))
    weights = weight_bytes(imported)
    done = optimize_model(imported, pipeline(), evaluate=evaluator())
    ours, rivals = count_nodes(ir.to_proto(done.model)), recorded()[1][name]
    record_property(f"nodes of {name}: as it came", rivals.input)
    record_property(f"nodes of {name}: lower of onnxslim and onnxsim", rivals.lowest)
    record_property(f"nodes of {name}: graphopt", ours.nodes)
    assert ours.nodes <= rivals.lowest or name in REASONS
    assert weight_bytes(done.model) <= WEIGHTS_MAY_GROW * weights
    warnings = [remark.reason for remark in done.remarks if remark.kind is RemarkKind.WARNING]
    assert not [reason for reason in warnings if "still changed the model" in reason]


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
