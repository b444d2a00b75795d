"""What TensorRT may be given."""

import onnx_ir as ir
import pytest

from graphopt.backends.tensorrt.backend import BACKEND
from graphopt.backends.tensorrt.claims import LEGALIZED, UNBUILDABLE
from graphopt.backends.tensorrt.module import NAMES
from graphopt.targets.parse import parse_target


def claim(op, *inputs, domain="", target="cuda:sm_86", outputs=1):
    values = [ir.Value(name=f"x{i}", type=kind) for i, kind in enumerate(inputs)]
    return BACKEND.claims(ir.node(op, values, domain=domain, num_outputs=outputs), parse_target(target))


FLOAT, DOUBLE, STRING = (
    ir.TensorType(dtype) for dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.STRING)
)
HALF, BF16, UINT8 = (
    ir.TensorType(dtype) for dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.UINT8)
)


@pytest.mark.parametrize(
    "op", ["Conv", "MatMul", "LSTM", "If", "TopK", "Resize", "Einsum", "DequantizeLinear"]
)
def test_operators_the_parser_knows_are_taken(op):
    assert claim(op, FLOAT).accepted


def test_operators_that_legalisation_rewrites_are_taken():
    assert all(claim(name, FLOAT).accepted for name in LEGALIZED if "::" not in name)
    for name in LEGALIZED:
        domain, colons, op = name.rpartition("::")
        assert claim(op, FLOAT, domain=domain if colons else "").accepted


@pytest.mark.parametrize(
    ("op", "domain", "kind", "why"),
    [
        ("Foo", "", FLOAT, "TensorRT-RTX's parser has no Foo"),
        ("Relu", "acme", FLOAT, "TensorRT-RTX's parser has no acme::Relu"),
        ("TreeEnsemble", "ai.onnx.ml", FLOAT, "TensorRT-RTX's parser has no ai.onnx.ml::TreeEnsemble"),
        ("NonZero", "", FLOAT, "TensorRT-RTX has no implementation of NonZero"),
        ("Relu", "", DOUBLE, "TensorRT has no double"),
        ("Concat", "", STRING, "TensorRT has no string"),
        ("If", "", ir.SequenceType(FLOAT), "TensorRT has tensors only, 'x0' is "),
    ],
)
def test_everything_else_is_refused_with_a_reason(op, domain, kind, why):
    found = claim(op, kind, domain=domain)
    assert not found.accepted
    assert found.reason.startswith(why)


def test_values_without_a_type_are_no_obstacle():
    assert claim("Relu", None).accepted


def test_a_target_nobody_builds_for_is_refused_with_what_can_be_built():
    found = claim("Relu", FLOAT, target="cuda:sm_90")
    assert not found.accepted
    assert "sm_90 needs TensorRT" in found.reason


def test_cpu_targets_are_refused():
    assert not claim("Relu", FLOAT, target="cpu").accepted


def test_turing_computes_products_in_half_precision_only():
    assert claim("MatMul", HALF, HALF, target="cuda:sm_75,sm_86").accepted
    assert claim("Conv", FLOAT, FLOAT, target="cuda:sm_75").accepted
    found = claim("MatMul", FLOAT, FLOAT, target="cuda:sm_75,sm_86")
    assert found.reason == "TensorRT-RTX has no float32 matrix products on sm_75; --precision fp16 has them"
    assert not claim("Relu", BF16, target="cuda:sm_75").accepted
    assert claim("Relu", BF16, target="cuda:sm_86").accepted


def test_the_tables_are_about_libraries_there_are():
    assert set(UNBUILDABLE) == set(NAMES)
