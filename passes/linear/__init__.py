"""Passes about linear operators: what Conv, ConvTranspose, Gemm and MatMul can absorb; in running order."""

from graphopt.passes.linear.fuse_batch_norm import FuseBatchNorm
from graphopt.passes.linear.fuse_bias import FuseBias
from graphopt.passes.linear.fuse_scale import FuseScale
from graphopt.pipeline.pass_base import Pass

LINEAR_PASSES: tuple[type[Pass], ...] = (FuseBatchNorm, FuseScale, FuseBias)
