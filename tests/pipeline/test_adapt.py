"""Foreign passes: onnx_ir passes and onnxscript rules run inside a graphopt pipeline."""

import onnx_ir as ir
import pytest
from onnx_ir.passes.common import IdentityEliminationPass

from graphopt.errors import UsageError
from graphopt.pipeline.adapt import adapt
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.manager import PassManager
from tests.pipeline.toys import Flip, relu_chain


def _with_identity() -> ir.Model:
    return ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 23]> g (float[2] x) => (float[2] y) '
        "{ a = Identity(x) b = Identity(a) y = Relu(b) }"
    )


def test_an_onnx_ir_pass_runs_and_reports_honestly():
    model = _with_identity()
    pass_ = adapt(IdentityEliminationPass())
    effects = PassManager((pass_, pass_)).run(model, PassContext())
    assert [e.modified for e in effects] == [True, False]
    assert [node.op_type for node in model.graph] == ["Relu"]
    assert effects[0].pass_text == "onnx-ir:identity-elimination-pass"


def test_a_functional_onnx_ir_pass_moves_its_result_into_the_model():
    model = _with_identity()
    PassManager((adapt(ir.passes.functionalize(IdentityEliminationPass())),)).run(model, PassContext())
    assert [node.op_type for node in model.graph] == ["Relu"]


def test_an_onnxscript_rule_set_runs():
    rewriter = pytest.importorskip("onnxscript.rewriter", reason="onnxscript is not installed")
    pattern = pytest.importorskip("onnxscript.rewriter.pattern")

    def two_relus(op, x):
        return op.Relu(op.Relu(x))

    def one_relu(op, x):
        return op.Relu(x)

    rules = pattern.RewriteRuleSet([rewriter.pattern.RewriteRule(two_relus, one_relu)])
    model = relu_chain(2)
    (effect,) = PassManager((adapt(rules),)).run(model, PassContext())
    assert effect.modified
    assert effect.nodes_after == 1


def test_a_graphopt_pass_is_itself_and_anything_else_is_refused():
    assert adapt(Flip()) == Flip()
    with pytest.raises(UsageError, match="int is not a pass"):
        adapt(3)
