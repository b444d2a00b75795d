"""BiasSkipLayerNormalization: SkipLayerNormalization of a product whose bias is still to be added."""

from graphopt.ops.op import NamedOp

BIAS_SKIP_LAYER_NORMALIZATION = NamedOp(
    name="BiasSkipLayerNormalization",
    inputs=("x", "addend", "skip", "scale", "bias"),
    outputs=("y", "total"),
    body_text="""
        biased = Add (x, addend)
        total = Add (biased, skip)
        y = LayerNormalization <axis = -1, epsilon: float = @epsilon> (total, scale, bias)
    """,
    min_opset=17,
    doc="total = (x + addend) + skip; y = LayerNormalization(total) over the last axis.",
    attributes={"epsilon": 1e-5},
)
