"""Pass: one transformation of a model, with a name and options that print back."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir.levels import Level
from graphopt.pipeline.context import PassContext


@functools.cache
def kebab(name: str) -> str:
    """``FuseConvBatchNorm`` → ``fuse-conv-batch-norm``, and ``hard_swish`` → ``hard-swish``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return re.sub(r"[_\s-]+", "-", parted).lower()


@dataclass(frozen=True)
class Pass(ABC):
    """A transformation of a model in place.

    A subclass is a frozen dataclass: its fields are the options a person can set in a pipeline
    string, its docstring opens with one line and then says *Before / After / Needs / Keeps / Skips*.
    """

    level: ClassVar[Level] = Level.CANONICAL
    """The level the model must satisfy before the pass and still satisfies after it."""

    backend: ClassVar[str] = ""
    """The backend whose regions a legalisation pass rewrites; empty for a pass over the whole model."""

    @classmethod
    def name(cls) -> str:
        """The name in pipeline strings, derived from the class name."""
        return kebab(cls.__name__)

    def text(self) -> str:
        """The pass as a pipeline string spells it: ``name`` or ``name{option=value …}``."""
        options = [
            f"{f.name.replace('_', '-')}={format_option(getattr(self, f.name))}"
            for f in fields(self)
            if getattr(self, f.name) != f.default
        ]
        return f"{self.name()}{{{' '.join(options)}}}" if options else self.name()

    @abstractmethod
    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Transform ``model`` in place.

        Returns:
            Whether anything changed. The pass manager checks this claim when asked to verify.
        """


def format_option(value: object) -> str:
    """A pass option as the pipeline string spells it; the inverse of parsing it by type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "+".join(format_option(v) for v in value)
    return str(value)
