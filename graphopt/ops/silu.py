"""Silu: x·sigmoid(x), also known as Swish."""

from graphopt.ops.op import NamedOp

SILU = NamedOp(
    name="Silu",
    inputs=("x",),
    outputs=("y",),
    body_text="""
        gate = Sigmoid (x)
        y = Mul (x, gate)
    """,
    min_opset=13,
    doc="y = x·sigmoid(x), elementwise.",
)
