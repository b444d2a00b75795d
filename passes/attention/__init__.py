"""Passes that recognise attention and rotary embeddings in their pieces; in running order."""

from graphopt.passes.attention.fold_attention_scale import FoldAttentionScale
from graphopt.passes.attention.merge_attention_heads import MergeAttentionHeads
from graphopt.passes.attention.recognize_attention import RecognizeAttention
from graphopt.pipeline.pass_base import Pass

ATTENTION_PASSES: tuple[type[Pass], ...] = (
    RecognizeAttention,
    FoldAttentionScale,  # what is scaled before the head split is seen from the attention
    MergeAttentionHeads,  # last: the others look for heads of their own
)
