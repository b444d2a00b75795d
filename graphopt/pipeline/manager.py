"""PassManager: runs passes in order, repeats what asks to be repeated, and records every effect."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.errors import GraphoptError, PassError
from graphopt.ir.walk import num_nodes, weight_bytes
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.pipeline.protocols import Instrument
from graphopt.pipeline.records import Effect

DEFAULT_REPEAT_LIMIT = 16


@dataclass(frozen=True)
class Repeat:
    """Runs its steps again and again until none of them changes anything.

    Attributes:
        steps: what to run.
        limit: give up after so many rounds; passes that undo one another would never converge.
    """

    steps: tuple[Step, ...]
    limit: int = DEFAULT_REPEAT_LIMIT

    def text(self) -> str:
        """The repeat as a pipeline string spells it."""
        option = "" if self.limit == DEFAULT_REPEAT_LIMIT else f"{{limit={self.limit}}}"
        return f"repeat{option}({pipeline_text(self.steps)})"


Step = Pass | Repeat


def pipeline_text(steps: Sequence[Step]) -> str:
    """The pipeline string of ``steps``; parsing it gives the steps back."""
    return ",".join(step.text() for step in steps)


def flatten(steps: Iterable[Step]) -> Iterator[Pass]:
    """Every pass of a pipeline once, in the order in which it first runs."""
    for step in steps:
        if isinstance(step, Repeat):
            yield from flatten(step.steps)
        else:
            yield step


def keep_passes(steps: Sequence[Step], names: frozenset[str]) -> tuple[Step, ...]:
    """The pipeline with only the passes whose name is in ``names``: how bisection asks for less."""
    kept: list[Step] = []
    for step in steps:
        if isinstance(step, Repeat):
            inner = keep_passes(step.steps, names)
            if inner:
                kept.append(Repeat(inner, step.limit))
        elif step.name() in names:
            kept.append(step)
    return tuple(kept)


class PassManager:
    """Runs a pipeline over a model.

    Args:
        steps: the passes, in order.
        instruments: watchers, called around every pass in this order.
    """

    def __init__(self, steps: Sequence[Step], instruments: Sequence[Instrument] = ()) -> None:
        self._steps = tuple(steps)
        self._instruments = tuple(instruments)

    def run(self, model: ir.Model, ctx: PassContext) -> list[Effect]:
        """Transform ``model`` in place and say what each pass did.

        Raises:
            PassError: a pass raised something other than a GraphoptError, or repeats did not
                converge; ``model`` is then half transformed and must be thrown away.
        """
        effects: list[Effect] = []
        self._run_steps(self._steps, model, ctx, effects)
        return effects

    def _run_steps(
        self, steps: Sequence[Step], model: ir.Model, ctx: PassContext, effects: list[Effect]
    ) -> bool:
        modified = False
        for step in steps:
            if isinstance(step, Repeat):
                modified |= self._repeat(step, model, ctx, effects)
            else:
                modified |= self._run_pass(step, model, ctx, effects)
        return modified

    def _repeat(self, repeat: Repeat, model: ir.Model, ctx: PassContext, effects: list[Effect]) -> bool:
        for rounds in range(repeat.limit):
            if not self._run_steps(repeat.steps, model, ctx, effects):
                return rounds > 0
        # Not an error: every round was a legal rewrite. But somebody should look at it.
        ctx.warn("repeat", None, f"{repeat.text()} still changed the model after {repeat.limit} rounds")
        return True

    def _run_pass(self, pass_: Pass, model: ir.Model, ctx: PassContext, effects: list[Effect]) -> bool:
        for instrument in self._instruments:
            instrument.before_pass(pass_, model)
        nodes_before, bytes_before = num_nodes(model), weight_bytes(model)
        ctx.rewrites.clear()
        started = time.perf_counter()
        try:
            modified = pass_.run(model, ctx)
        except (GraphoptError, MemoryError, RecursionError):
            raise
        except Exception as error:
            raise PassError(
                f"pass {pass_.name()} failed: {type(error).__name__}: {error}",
                f"compile with --disable-pass {pass_.name()} and report the model",
                pass_name=pass_.name(),
            ) from error
        effect = Effect(
            pass_text=pass_.text(),
            modified=modified,
            seconds=time.perf_counter() - started,
            nodes_before=nodes_before,
            nodes_after=num_nodes(model),
            weight_bytes_before=bytes_before,
            weight_bytes_after=weight_bytes(model),
            rewrites=dict(ctx.rewrites),
        )
        effects.append(effect)
        for instrument in self._instruments:
            instrument.after_pass(pass_, model, effect)
        return modified
