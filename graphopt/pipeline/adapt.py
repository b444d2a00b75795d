"""Foreign passes as graphopt passes: onnx_ir passes and onnxscript rewrite rule sets drop in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass, kebab


@dataclass(frozen=True)
class OnnxIrPass(Pass):
    """Runs an ``onnx_ir.passes.PassBase``.

    Needs: the pass works in place, or returns a model whose graph can take this one's place.
    """

    inner: Any = field(default=None)

    def text(self) -> str:
        """The foreign class's name: there is no text that brings it back."""
        return f"onnx-ir:{kebab(type(self.inner).__name__)}"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Call the pass and move its result into ``model``."""
        result = self.inner(model)
        if result.model is not model:
            model.graph = result.model.graph
            model.functions.clear()
            model.functions.update(result.model.functions)
        if result.modified:
            ctx.applied(self.text(), None, "reported a change")
        return bool(result.modified)


@dataclass(frozen=True)
class OnnxscriptRules(Pass):
    """Runs an ``onnxscript.rewriter.RewriteRuleSet`` (or anything with ``apply_to_model``)."""

    inner: Any = field(default=None)

    def text(self) -> str:
        """The foreign class's name: there is no text that brings it back."""
        return f"onnxscript:{kebab(type(self.inner).__name__)}"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rules until none matches."""
        count = int(self.inner.apply_to_model(model))
        if count:
            ctx.applied(self.text(), None, f"{count} rules fired")
        return count > 0


def adapt(thing: object) -> Pass:
    """A graphopt pass for ``thing``.

    Raises:
        UsageError: it is none of a Pass, an onnx_ir pass and an onnxscript rule (set).
    """
    if isinstance(thing, Pass):
        return thing
    if isinstance(thing, ir.passes.PassBase):
        return OnnxIrPass(thing)
    if hasattr(thing, "apply_to_model"):
        return OnnxscriptRules(thing)
    raise UsageError(
        f"{type(thing).__name__} is not a pass",
        "take a graphopt.passes class, an onnx_ir pass or an onnxscript rule set",
    )
