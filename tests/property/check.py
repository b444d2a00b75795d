"""What must hold of a pipeline on a model: the answer, the signature, a legal result, nothing left to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir

from graphopt.driver.bisect import bisect_passes
from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.equality.oracle import Oracle
from graphopt.errors import GraphoptError, PassError
from graphopt.ir.walk import weight_bytes
from graphopt.pipeline.instruments import VerifyEach
from graphopt.pipeline.manager import Step, flatten, keep_passes, pipeline_text
from graphopt.pipeline.protocols import Runner
from graphopt.pipeline.records import Effect
from tests.property.builder import Array

SMALL_WEIGHTS = 1 << 13
"""Bytes that folding may add to a model of a few hundred bytes; the limit of 1 % is for real ones."""


@dataclass(frozen=True)
class Failure:
    """What does not hold.

    Attributes:
        kind: ``crash``, ``answer``, ``signature``, ``size`` or ``again``.
        pipeline: that was run.
        message: one sentence.
        again: what was run afterwards, for the kind of that name; empty for the pipeline itself.
    """

    kind: str
    pipeline: str
    message: str
    again: str = ""


@dataclass
class Subject:
    """A model under test: the original's answers, and how pipelines do on it.

    Attributes:
        imported: the original, which stays as it is.
        oracle: the original's answers.
        effects: of every pass run so far.
    """

    imported: ir.Model
    oracle: Oracle
    effects: list[Effect] = field(default_factory=list)

    @classmethod
    def prepare(cls, model: onnx.ModelProto, feeds: Sequence[Mapping[str, Array]]) -> Subject | None:
        """None where ONNX Runtime does not run the original; feeds of other sizes may be refused."""
        try:
            imported = import_model(model)
            run = plain_runner(imported)
            kept = [feed for feed in feeds if _runs(run, feed)]
            if not kept or kept[0] is not feeds[0]:
                return None
            return cls(imported, Oracle.prepare(imported, plain_runner, inputs=kept))
        except GraphoptError:
            return None

    def examine(self, passes: str | Sequence[object], *, again: str = "") -> Failure | None:
        """Run a pipeline and say what does not hold; None when all does.

        Args:
            passes: the pipeline, as text or as a list of texts and passes.
            again: what may change nothing afterwards; empty for the pipeline itself.
        """
        steps = pipeline(passes)
        text = passes if isinstance(passes, str) else pipeline_text(steps)
        try:
            done = self._optimised(steps)
        except PassError as error:
            return Failure("crash", text, error.message)
        problem = self._signature(done)
        if problem:
            return Failure("signature", text, problem)
        report = self._judge(done)
        if report:
            return Failure("answer", text, f"{report} [{self._guilty(steps)}]")
        before, after = weight_bytes(self.imported), weight_bytes(done)
        if after > before * 1.01 + SMALL_WEIGHTS:
            return Failure("size", text, f"{before} bytes of weights became {after}")
        problem = self._again(pipeline(again) if again else steps, done)
        return Failure("again", text, problem, again) if problem else None

    def _optimised(self, steps: tuple[Step, ...]) -> ir.Model:
        done = optimize_model(self.imported.clone(), steps, evaluate=evaluator(), instruments=(VerifyEach(),))
        self.effects += done.effects
        return done.model

    def _judge(self, done: ir.Model) -> str:
        try:
            report = self.oracle.judge(plain_runner(done))
        except GraphoptError as error:
            return error.message
        return "" if report.equal else report.sentence()

    def _signature(self, done: ir.Model) -> str:
        was, now = self.imported.graph, done.graph
        for old, new in ((was.inputs, now.inputs), (was.outputs, now.outputs)):
            expected = [(value.name, value.dtype) for value in old]
            found = [(value.name, value.dtype) for value in new]
            if expected != found:
                return f"{found} instead of {expected}"
        return ""

    def _again(self, steps: tuple[Step, ...], done: ir.Model) -> str:
        """The second run must find nothing to do."""
        try:
            second = optimize_model(done, steps, evaluate=evaluator()).effects
        except PassError as error:
            return f"the second time: {error.message}"
        return "; ".join(f"{e.pass_text} {e.rewrites}" for e in second if e.modified)

    def _guilty(self, steps: tuple[Step, ...]) -> str:
        names = list(dict.fromkeys(step.name() for step in flatten(steps)))

        def build(kept: Sequence[str]) -> Runner:
            chosen = keep_passes(steps, frozenset(kept))
            return plain_runner(optimize_model(self.imported.clone(), chosen, evaluate=evaluator()).model)

        found = bisect_passes(names, build, self.oracle)
        return "all passes together" if found is None else found.pass_name


def plain_runner(model: ir.Model) -> Runner:
    """ONNX Runtime with its optimisations off, on one thread: the models are tiny."""
    from graphopt.backends.onnxruntime.runner import make_runner

    return make_runner(model, optimise=False, threads=1)


def _runs(runner: Runner, feed: Mapping[str, Array]) -> bool:
    try:
        runner.run(feed)
    except GraphoptError:
        return False
    return True
