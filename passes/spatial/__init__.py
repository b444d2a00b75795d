"""Passes about operators on space and time: resize, pixel shuffle, Fourier transforms; in running order."""

from graphopt.passes.spatial.convolve_frames import ConvolveFrames
from graphopt.passes.spatial.eliminate_noop_resize import EliminateNoopResize
from graphopt.passes.spatial.recognize_depth_to_space import RecognizeDepthToSpace
from graphopt.passes.spatial.recognize_resize import RecognizeResize
from graphopt.pipeline.pass_base import Pass

SPATIAL_PASSES: tuple[type[Pass], ...] = (
    RecognizeDepthToSpace,
    RecognizeResize,
    EliminateNoopResize,
    ConvolveFrames,
)
