"""PassContext: what a pass may know besides the model, and where it leaves its remarks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphopt.pipeline.records import Remark, RemarkKind

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.pipeline.protocols import RunnerFactory
    from graphopt.targets.target import Target


@dataclass
class PassContext:
    """Handed to every pass of one pipeline run.

    Attributes:
        target: the machine compiled for, or None for target-independent optimisation.
        evaluate: makes runners to compute constants with, or None: passes then fall back to
            the reference implementation.
        fold_budget_bytes: the most bytes a folded constant may add to the model.
        remarks: what passes said, in order.
        rewrites: how often each rule of the pass that is running has fired.
    """

    target: Target | None = None
    evaluate: RunnerFactory | None = None
    fold_budget_bytes: int = 1 << 20
    remarks: list[Remark] = field(default_factory=list)
    rewrites: Counter[str] = field(default_factory=Counter)

    def applied(self, pass_name: str, node: ir.Node | None, reason: str, rule: str = "") -> None:
        """Record that a pass changed something."""
        self._remark(RemarkKind.APPLIED, pass_name, node, reason, rule)
        self.rewrites[rule or pass_name] += 1

    def missed(self, pass_name: str, node: ir.Node | None, reason: str, rule: str = "") -> None:
        """Record a near miss: the pattern's anchor is there, and this is why it was left alone."""
        self._remark(RemarkKind.MISSED, pass_name, node, reason, rule)

    def warn(self, pass_name: str, node: ir.Node | None, reason: str) -> None:
        """Record something the person should know."""
        self._remark(RemarkKind.WARNING, pass_name, node, reason, "")

    def _remark(self, kind: RemarkKind, pass_name: str, node: ir.Node | None, reason: str, rule: str) -> None:
        name = "" if node is None else (node.name or f"{node.op_type}(unnamed)")
        self.remarks.append(Remark(pass_name, kind, name, reason, rule))
