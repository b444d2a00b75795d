"""Passes about linear operators: what Conv, ConvTranspose, Gemm and MatMul can absorb; in running order."""

from graphopt.pipeline.pass_base import Pass

LINEAR_PASSES: tuple[type[Pass], ...] = ()
