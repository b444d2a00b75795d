"""SkipLayerNormalization: a residual sum and the layer normalisation of it."""

from graphopt.ops.op import NamedOp

SKIP_LAYER_NORMALIZATION = NamedOp(
    name="SkipLayerNormalization",
    inputs=("x", "skip", "scale", "bias"),
    outputs=("y", "total"),
    body_text="""
        total = Add (x, skip)
        y = LayerNormalization <axis = -1, epsilon: float = @epsilon> (total, scale, bias)
    """,
    min_opset=17,
    doc="total = x + skip; y = LayerNormalization(total) over the last axis.",
    attributes={"epsilon": 1e-5},
)
