"""Passes about recurrent operators; in running order."""

from graphopt.pipeline.pass_base import Pass

RECURRENT_PASSES: tuple[type[Pass], ...] = ()
