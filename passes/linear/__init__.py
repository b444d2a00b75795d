"""Passes about linear operators: what Conv, ConvTranspose, Gemm and MatMul can absorb; in running order."""

from graphopt.passes.linear.flush_denormals import FlushDenormals
from graphopt.passes.linear.fold_gemm_attributes import FoldGemmAttributes
from graphopt.passes.linear.fuse_batch_norm import FuseBatchNorm
from graphopt.passes.linear.fuse_bias import FuseBias
from graphopt.passes.linear.fuse_input_scale import FuseInputScale
from graphopt.passes.linear.fuse_input_shift import FuseInputShift
from graphopt.passes.linear.fuse_moved_affine import FuseMovedAffine
from graphopt.passes.linear.fuse_pad import FusePad
from graphopt.passes.linear.fuse_pad_into_pool import FusePadIntoPool
from graphopt.passes.linear.fuse_scale import FuseScale
from graphopt.passes.linear.fuse_split_affine import FuseSplitAffine
from graphopt.passes.linear.merge_affine_steps import MergeAffineSteps
from graphopt.pipeline.pass_base import Pass

LINEAR_PASSES: tuple[type[Pass], ...] = (
    FoldGemmAttributes,
    MergeAffineSteps,  # before the operators take them in: one step instead of three
    FuseBatchNorm,
    FuseScale,
    FuseBias,
    FuseMovedAffine,
    FuseSplitAffine,
    FuseInputScale,
    FuseInputShift,  # before pads: what a convolution pads with is not shifted
    FusePad,
    FusePadIntoPool,
    FlushDenormals,  # last: products of constants may have become denormal
)
