"""Passes that recognise normalisations in their pieces; in running order."""

from graphopt.pipeline.pass_base import Pass

NORMALIZATION_PASSES: tuple[type[Pass], ...] = ()
