"""Instrument: the role of something that watches a pipeline run."""

from __future__ import annotations

from typing import Protocol

import onnx_ir as ir

from graphopt.pipeline.pass_base import Pass
from graphopt.pipeline.records import Effect


class Instrument(Protocol):
    """Watches a pipeline run."""

    def before_pass(self, pass_: Pass, model: ir.Model) -> None:
        """Called before each pass."""

    def after_pass(self, pass_: Pass, model: ir.Model, effect: Effect) -> None:
        """Called after each pass with what it did."""
