"""Legalisation passes that break a region, each in another way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class ChangeTheAnswer(Pass):
    """Makes every Sigmoid a Tanh."""

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        found = [node for node in model.graph if node.op_type == "Sigmoid"]
        for node in found:
            node.op_type = "Tanh"
        return bool(found)


@dataclass(frozen=True)
class SpellUnknownly(Pass):
    """Makes every Sigmoid an operator ONNX Runtime does not have."""

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        found = [node for node in model.graph if node.op_type == "Sigmoid"]
        for node in found:
            node.op_type, node.domain = "Sigmoidal", "com.microsoft"
        model.graph.opset_imports["com.microsoft"] = 1
        return bool(found)


@dataclass(frozen=True)
class Stumble(Pass):
    """Raises."""

    backend: ClassVar[str] = "onnxruntime"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        raise ValueError("stumbled")


@dataclass(frozen=True)
class NeverAsked(Pass):
    """Belongs to a backend that runs nothing here."""

    backend: ClassVar[str] = "abacus"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        raise AssertionError("a pass of another backend ran")


ALL_WRONG: tuple[type[Pass], ...] = (ChangeTheAnswer, SpellUnknownly, Stumble)
