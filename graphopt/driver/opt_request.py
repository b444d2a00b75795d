"""What ``graphopt opt`` was asked for besides passes: a backend's spelling, a lower precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphopt.errors import UsageError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.driver.opt import Optimized
    from graphopt.driver.precision.lower import Lower
    from graphopt.equality.oracle import Inputs
    from graphopt.pipeline.instrument import Instrument
    from graphopt.pipeline.manager import Step


@dataclass(frozen=True)
class OptRequest:
    """One run of ``opt``.

    Attributes:
        steps: the passes.
        backend: whose spelling is wanted; empty for none.
        target: of the backend, as a person types it; empty takes whatever the backend serves.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        inputs: the person's own feeds, on which ranges are observed; None derives them.
        disabled: names of passes to leave out.
        instruments: watchers of the pipeline.
    """

    steps: tuple[Step, ...]
    backend: str = ""
    target: str = ""
    precision: str = "fp32"
    inputs: Inputs | None = None
    disabled: tuple[str, ...] = ()
    instruments: Sequence[Instrument] = ()

    def run(self, model: ir.Model) -> Optimized:
        """Rewrite ``model``, as imported; it is changed in place.

        Raises:
            UsageError: there is no such backend or precision, or the target is not the backend's.
            FeedError: no inputs were found on which the model runs.
            PassError: a pass failed; ``model`` is then half transformed.
        """
        from graphopt.driver.legalize import lower, optimize_for
        from graphopt.driver.opt import optimize_model
        from graphopt.driver.runners import evaluator
        from graphopt.driver.target import find_target

        if self.target and not self.backend:
            raise UsageError("a target is a backend's", "add --backend tensorrt or --backend onnxruntime")
        target = find_target(self.target) if self.target else None
        lowered = lower_of(self.precision)
        feeds = self._feeds(model) if lowered is not None else []
        if self.backend:
            return optimize_for(
                model,
                self.steps,
                self.backend,
                target=target,
                precision=lowered,
                feeds=feeds,
                disabled=self.disabled,
                evaluate=evaluator(),
                instruments=self.instruments,
            )
        done = optimize_model(model, self.steps, evaluate=evaluator(), instruments=self.instruments)
        return done if lowered is None else lower(done, lowered, feeds)

    def _feeds(self, model: ir.Model) -> list[Mapping[str, Any]]:
        from graphopt.driver.runners import oracle_runner
        from graphopt.equality.feeds import derive_feeds
        from graphopt.equality.feeds_user import user_feeds

        if self.inputs is not None:
            return [feed.values for feed in user_feeds(model, self.inputs)]
        return [feed.values for feed in derive_feeds(model, oracle_runner(model).run).feeds]


def lower_of(precision: str) -> Lower | None:
    """The precision to convert to, None for the model's own; raises UsageError for an unknown one."""
    match precision:
        case "fp32":
            return None
        case "fp16" | "bf16":
            return precision
    raise UsageError(f"there is no precision {precision!r}", "fp32, fp16 or bf16")
