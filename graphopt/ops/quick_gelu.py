"""QuickGelu: x·sigmoid(alpha·x); with alpha = 1.702 it is the approximation of Gelu that CLIP uses."""

from graphopt.ops.op import NamedOp

QUICK_GELU = NamedOp(
    name="QuickGelu",
    inputs=("x",),
    outputs=("y",),
    body_text="""
        number = Constant <value_float: float = @alpha> ()
        alpha = CastLike (number, x)
        scaled = Mul (x, alpha)
        gate = Sigmoid (scaled)
        y = Mul (x, gate)
    """,
    min_opset=15,
    doc="y = x·sigmoid(alpha·x), elementwise.",
    attributes={"alpha": 1.702},
)
