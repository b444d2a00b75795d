"""Passes that recognise activation functions in their pieces; in running order."""

from graphopt.pipeline.pass_base import Pass

ACTIVATION_PASSES: tuple[type[Pass], ...] = ()
