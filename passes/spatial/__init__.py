"""Passes about operators on space and time: resize, pixel shuffle, Fourier transforms; in running order."""

from graphopt.pipeline.pass_base import Pass

SPATIAL_PASSES: tuple[type[Pass], ...] = ()
