"""PassManager: runs passes in order, repeats what asks to be repeated, and records every effect."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.errors import GraphoptError, PassError
from graphopt.ir.walk import num_nodes, weight_bytes
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.instrument import Instrument
from graphopt.pipeline.pass_base import Pass
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

    A pass that last found nothing to do is not run again until another pass has changed the model:
    passes are functions of the model, so it would find nothing again.

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
            PassError: a pass raised something other than a GraphoptError; ``model`` is then half
                transformed and must be thrown away.
        """
        run = _Run(model, ctx, self._instruments)
        run.steps(self._steps)
        return run.effects


class _Run:
    """One run of a pipeline: the model, its version and what is known about it."""

    def __init__(self, model: ir.Model, ctx: PassContext, instruments: Sequence[Instrument]) -> None:
        self.effects: list[Effect] = []
        self._model, self._ctx, self._instruments = model, ctx, instruments
        self._version = 0
        # By class too: passes without options all have the same hash.
        self._idle_at: dict[tuple[type[Pass], Pass], int] = {}
        # Counting costs a walk over the model: once per version is enough.
        self._size = (num_nodes(model), weight_bytes(model))

    def steps(self, steps: Sequence[Step]) -> bool:
        """Run ``steps`` once; whether any changed the model."""
        before = self._version
        for step in steps:
            if isinstance(step, Repeat):
                self._repeat(step)
            elif self._idle_at.get((type(step), step)) != self._version:
                self._run_pass(step)
        return self._version != before

    def _repeat(self, repeat: Repeat) -> None:
        for _ in range(repeat.limit):
            if not self.steps(repeat.steps):
                return
        # Not an error: every round was a legal rewrite. But somebody should look at it.
        reason = f"{repeat.text()} still changed the model after {repeat.limit} rounds"
        self._ctx.warn("repeat", None, reason)

    def _run_pass(self, pass_: Pass) -> None:
        for instrument in self._instruments:
            instrument.before_pass(pass_, self._model)
        self._ctx.rewrites.clear()
        started = time.perf_counter()
        modified = self._call(pass_)
        seconds = time.perf_counter() - started
        before = self._size
        if modified:
            self._version += 1
            self._size = (num_nodes(self._model), weight_bytes(self._model))
        else:
            self._idle_at[type(pass_), pass_] = self._version
        effect = Effect(
            pass_text=pass_.text(),
            modified=modified,
            seconds=seconds,
            nodes_before=before[0],
            nodes_after=self._size[0],
            weight_bytes_before=before[1],
            weight_bytes_after=self._size[1],
            rewrites=dict(self._ctx.rewrites),
        )
        self.effects.append(effect)
        for instrument in self._instruments:
            instrument.after_pass(pass_, self._model, effect)

    def _call(self, pass_: Pass) -> bool:
        try:
            return pass_.run(self._model, self._ctx)
        except (GraphoptError, MemoryError, RecursionError):
            raise
        except Exception as error:
            raise PassError(
                f"pass {pass_.name()} failed: {type(error).__name__}: {error}",
                f"compile with --disable-pass {pass_.name()} and report the model",
                pass_name=pass_.name(),
            ) from error
