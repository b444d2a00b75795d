"""BiasMatMulIntegerToFloat: MatMulIntegerToFloat with a bias for each column."""

from graphopt.ops.op import NamedOp

BIAS_MAT_MUL_INTEGER_TO_FLOAT = NamedOp(
    name="BiasMatMulIntegerToFloat",
    inputs=("a", "b", "a_scale", "b_scale", "a_zero_point", "b_zero_point", "bias"),
    outputs=("y",),
    body_text="""
        product = MatMulInteger (a, b, a_zero_point, b_zero_point)
        number = CastLike (product, b_scale)
        scale = Mul (a_scale, b_scale)
        scaled = Mul (number, scale)
        y = Add (scaled, bias)
    """,
    min_opset=15,
    doc="y = (a - a_zero_point)·(b - b_zero_point) in integers, times a_scale·b_scale, plus bias.",
)
