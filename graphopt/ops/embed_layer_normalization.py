"""EmbedLayerNormalization: three embeddings summed and normalised, as BERT begins."""

from graphopt.ops.op import NamedOp

EMBED_LAYER_NORMALIZATION = NamedOp(
    name="EmbedLayerNormalization",
    inputs=(
        "words",
        "positions",
        "segments",
        "word_table",
        "position_table",
        "segment_table",
        "scale",
        "bias",
    ),
    outputs=("y",),
    body_text="""
        word = Gather <axis = 0> (word_table, words)
        position = Gather <axis = 0> (position_table, positions)
        segment = Gather <axis = 0> (segment_table, segments)
        placed = Add (word, position)
        total = Add (placed, segment)
        y = LayerNormalization <axis = -1, epsilon: float = @epsilon> (total, scale, bias)
    """,
    min_opset=17,
    doc="y = LayerNormalization(word_table[words] + position_table[positions] + segment_table[segments]).",
    attributes={"epsilon": 1e-5},
)
