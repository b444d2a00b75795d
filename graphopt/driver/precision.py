"""Precision: which nodes of an optimised model compute in float16 or bfloat16, and which must not.

The choice is made on the oracle's feeds: what comes near the largest float16 or vanishes below the
smallest stays in float32, and so do the most sensitive nodes until the outputs agree at that precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.equality.oracle import Oracle
    from graphopt.equality.verdict import EqualityReport
    from graphopt.pipeline.pass_base import Pass
    from graphopt.pipeline.records import Remark

Lower = Literal["fp16", "bf16"]
Judge = Callable[["ir.Model", "Oracle"], "EqualityReport"]
"""Judges a converted model with an oracle at the lower precision: of the graph itself, or of what a
backend makes of it."""


@dataclass(frozen=True)
class Lowered:
    """A model at a lower precision.

    Attributes:
        model: the converted copy; inputs and outputs keep their dtypes.
        step: the pass that makes ``model`` of the optimised one, all it keeps spelled out: appended to
            the pipeline it repeats the choice.
        oracle: the original's outputs with the noise floor of the lower precision; judges everything
            that is made of ``model``, with emulating runners. None when equality is off.
        equality: the verdict on ``model``; None when equality is off.
        kept: node of the optimised model that stays in float32 → why.
        largest: |max| over the feeds of every float value, the largest first (a few).
        remarks: ``kept`` as remarks of the pass, and what else a person should know.
    """

    model: ir.Model
    step: Pass
    oracle: Oracle | None
    equality: EqualityReport | None
    kept: Mapping[str, str] = field(default_factory=dict)
    largest: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """``kept`` and ``largest`` as plain JSON."""
        return {"precision_kept": dict(self.kept), "largest": dict(self.largest)}


def lower_precision(
    optimized: ir.Model,
    precision: Lower,
    *,
    imported: ir.Model,
    oracle: Oracle | None,
    mode: str = "default",
    judge: Judge | None = None,
    progress: Callable[[str], None] | None = None,
) -> Lowered:
    """Convert a copy of ``optimized``, keeping in float32 what must stay there.

    Args:
        optimized: the model as the passes left it, equal at its own precision; not changed.
        precision: ``fp16`` or ``bf16``.
        imported: the original, whose noise at the lower precision is the measure.
        oracle: the original's outputs on the feeds; None (equality off) decides by the graph alone.
        mode: ``default`` or ``relaxed``.
        judge: of a converted model; None runs the graph itself with every intermediate rounded
            (``runners.emulating_runner``). One that also legalises finds what a backend's spelling
            overflows.
        progress: called with one line now and then.

    Raises:
        BackendError: the model cannot be run.
        EqualityError: even with every node in float32 the verdict is semantic.
    """
    raise NotImplementedError(precision)
