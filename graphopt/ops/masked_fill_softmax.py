"""MaskedFillSoftmax: softmax of the scores that a mask leaves, the others filled up."""

from graphopt.ops.op import NamedOp

MASKED_FILL_SOFTMAX = NamedOp(
    name="MaskedFillSoftmax",
    inputs=("x", "mask"),
    outputs=("y",),
    body_text="""
        number = Constant <value_float: float = @fill> ()
        low = CastLike (number, x)
        kept = Where (mask, low, x)
        y = Softmax <axis = -1> (kept)
    """,
    min_opset=15,
    doc="y = Softmax of fill where mask holds and of x elsewhere, over the last axis.",
    attributes={"fill": -10000.0},
)
