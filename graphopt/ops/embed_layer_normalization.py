"""EmbedLayerNormalization: three embeddings summed and normalised, as BERT begins."""

from graphopt.ops.op import NamedOp

EMBED_LAYER_NORMALIZATION = NamedOp(
    name="EmbedLayerNormalization",
    inputs=("words", "segments", "word_table", "positions", "segment_table", "scale", "bias"),
    outputs=("y",),
    body_text="""
        word = Gather <axis = 0> (word_table, words)
        segment = Gather <axis = 0> (segment_table, segments)
        typed = Add (word, segment)
        total = Add (typed, positions)
        y = LayerNormalization <axis = -1, epsilon: float = @epsilon> (total, scale, bias)
    """,
    min_opset=17,
    doc="y = LayerNormalization(word_table[words] + segment_table[segments] + positions), last axis.",
    attributes={"epsilon": 1e-5},
)
