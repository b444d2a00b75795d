"""SkipRMSNormalization: a residual sum and its normalisation by the root mean square."""

from graphopt.ops.op import NamedOp

SKIP_RMS_NORMALIZATION = NamedOp(
    name="SkipRMSNormalization",
    inputs=("x", "skip", "scale"),
    outputs=("y", "total"),
    body_text="""
        total = Add (x, skip)
        y = RMSNormalization <axis = -1, epsilon: float = @epsilon> (total, scale)
    """,
    min_opset=23,
    doc="total = x + skip; y = RMSNormalization(total) over the last axis.",
    attributes={"epsilon": 1e-5},
)
