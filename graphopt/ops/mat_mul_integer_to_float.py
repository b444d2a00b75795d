"""MatMulIntegerToFloat: a product of quantised matrices, given back as floating-point numbers."""

from graphopt.ops.op import NamedOp

MAT_MUL_INTEGER_TO_FLOAT = NamedOp(
    name="MatMulIntegerToFloat",
    inputs=("a", "b", "a_scale", "b_scale", "a_zero_point", "b_zero_point"),
    outputs=("y",),
    body_text="""
        product = MatMulInteger (a, b, a_zero_point, b_zero_point)
        number = CastLike (product, b_scale)
        scale = Mul (a_scale, b_scale)
        y = Mul (number, scale)
    """,
    min_opset=15,
    doc="y = (a - a_zero_point)·(b - b_zero_point) in integers, times a_scale·b_scale.",
)
