"""Passes that put several operators into one, last: what they make is opaque to the other groups."""

from graphopt.passes.fuse.fuse_embed_normalization import FuseEmbedNormalization
from graphopt.passes.fuse.fuse_masked_softmax import FuseMaskedSoftmax
from graphopt.passes.fuse.fuse_mat_mul_add import FuseMatMulAdd
from graphopt.passes.fuse.fuse_skip_normalization import FuseSkipNormalization
from graphopt.passes.fuse.merge_nested_splits import MergeNestedSplits
from graphopt.passes.fuse.merge_parallel_products import MergeParallelProducts
from graphopt.passes.fuse.merge_slices import MergeSlices
from graphopt.pipeline.pass_base import Pass

FUSE_PASSES: tuple[type[Pass], ...] = (
    MergeParallelProducts,  # before Gemm: the additions go along
    FuseEmbedNormalization,
    FuseMaskedSoftmax,
    FuseSkipNormalization,  # after the embeddings, whose last sum it would take
    FuseMatMulAdd,
    MergeSlices,
    MergeNestedSplits,
)
