"""Passes that recognise attention and rotary embeddings in their pieces; in running order."""

from graphopt.passes.attention.fold_attention_cache import FoldAttentionCache
from graphopt.passes.attention.fold_attention_scale import FoldAttentionScale
from graphopt.passes.attention.fold_grouped_heads import FoldGroupedHeads
from graphopt.passes.attention.fold_partial_rotation import FoldPartialRotation
from graphopt.passes.attention.merge_attention_heads import MergeAttentionHeads
from graphopt.passes.attention.recognize_attention import RecognizeAttention
from graphopt.passes.attention.recognize_rotary_embedding import RecognizeRotaryEmbedding
from graphopt.passes.attention.simplify_attention_mask import SimplifyAttentionMask
from graphopt.passes.attention.split_batch_of_heads import SplitBatchOfHeads
from graphopt.passes.attention.split_packed_heads import SplitPackedHeads
from graphopt.pipeline.pass_base import Pass

ATTENTION_PASSES: tuple[type[Pass], ...] = (
    SplitPackedHeads,
    SplitBatchOfHeads,  # before recognising: a mask is added where batch and heads are apart
    RecognizeRotaryEmbedding,
    FoldPartialRotation,
    RecognizeAttention,
    FoldAttentionScale,  # what is scaled before the head split is seen from the attention
    SimplifyAttentionMask,
    FoldGroupedHeads,
    FoldAttentionCache,  # after grouping: what is kept for later are the heads before they are copied
    MergeAttentionHeads,  # last: the others look for heads of their own
)
