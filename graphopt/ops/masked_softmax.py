"""MaskedSoftmax: softmax of the scores that a mask keeps."""

from graphopt.ops.op import NamedOp

MASKED_SOFTMAX = NamedOp(
    name="MaskedSoftmax",
    inputs=("x", "mask"),
    outputs=("y",),
    body_text="""
        number = Constant <value_float: float = @fill> ()
        low = CastLike (number, x)
        kept = Where (mask, x, low)
        y = Softmax <axis = -1> (kept)
    """,
    min_opset=15,
    doc="y = Softmax of x where mask holds and of fill elsewhere, over the last axis.",
    attributes={"fill": -10000.0},
)
