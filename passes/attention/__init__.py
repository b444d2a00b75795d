"""Passes that recognise attention and rotary embeddings in their pieces; in running order."""

from graphopt.pipeline.pass_base import Pass

ATTENTION_PASSES: tuple[type[Pass], ...] = ()
