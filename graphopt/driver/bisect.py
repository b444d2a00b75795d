"""``bisect``: from a wrong answer to the guilty pass, the smallest subgraph and a zipped reproduction."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.driver.bisect_graph import Divergence, bisect_graph
from graphopt.driver.reproduction import write_reproduction
from graphopt.errors import GraphoptError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.driver.opt import Constants, Source
    from graphopt.equality.oracle import Candidate, Inputs, Oracle
    from graphopt.equality.verdict import EqualityReport
    from graphopt.pipeline.manager import Step
    from graphopt.pipeline.protocols import RunnerFactory

__all__ = ["BisectReport", "Guilty", "Probe", "bisect", "bisect_graph", "bisect_passes", "write_reproduction"]

Build = Callable[[Sequence[str]], "Candidate"]
"""Builds a candidate from the names of the passes to run."""

BACKEND = "onnxruntime's own optimisations"
"""What is guilty when the answer is wrong without any pass."""


@dataclass(frozen=True)
class Probe:
    """One prefix of the passes that was tried.

    Attributes:
        passes: how many passes ran, from the front.
        good: whether the answer was right.
        sentence: the verdict, or why there was none.
    """

    passes: int
    good: bool
    sentence: str


@dataclass(frozen=True)
class Guilty:
    """What the search over passes found.

    Attributes:
        pass_name: the first pass after which the answer is wrong; empty when it is wrong without any.
        index: of that pass among the names; -1 when none is guilty.
        sentence: the verdict after it.
        probes: what was tried, in order.
    """

    pass_name: str
    index: int
    sentence: str
    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class BisectReport:
    """What bisect found.

    Attributes:
        verdict: ``semantic`` when something is wrong, else the verdict of the whole pipeline.
        sentence: what was found, in one line.
        guilty: name of the pass, or of the backend; empty when nothing is wrong.
        passes: how many passes the pipeline has.
        probes: the prefixes tried.
        value: the first value that differs; empty when that is the whole model.
        nodes_before: nodes of the smallest piece before the guilty pass.
        nodes_after: after it.
        model_nodes: nodes of the whole model.
        reproduction: path of the zip, or None.
    """

    verdict: str
    sentence: str
    guilty: str
    passes: int
    probes: tuple[Probe, ...] = ()
    value: str = ""
    nodes_before: int = 0
    nodes_after: int = 0
    model_nodes: int = 0
    reproduction: str | None = None

    @property
    def equal(self) -> bool:
        """Whether nothing is wrong."""
        return not self.guilty

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def bisect_passes(
    names: Sequence[str], build: Build, oracle: Oracle, *, mode: str = "default"
) -> Guilty | None:
    """Find the first pass after which the answer is wrong, by bisection over prefixes.

    Args:
        names: of the passes, in order.
        build: builds a candidate from a prefix of ``names``; what it raises counts as a wrong answer.
        oracle: judges.
        mode: ``default`` or ``relaxed``.

    Returns:
        The culprit, or None when the answer is right after every pass.
    """
    from graphopt.driver.compilation.blame import first_bad

    probes: dict[int, Probe] = {}

    def bad(count: int) -> bool:
        if count not in probes:
            probes[count] = _probe(count, names, build, oracle, mode)
        return not probes[count].good

    if not bad(len(names)):
        return None
    count = first_bad(len(names), bad)
    name = names[count - 1] if count else ""
    return Guilty(name, count - 1, probes[count].sentence, tuple(probes.values()))


def _probe(count: int, names: Sequence[str], build: Build, oracle: Oracle, mode: str) -> Probe:
    try:
        report = oracle.judge(build(names[:count]), mode)
    except GraphoptError as error:
        return Probe(count, False, error.message)
    return Probe(count, report.equal, report.sentence())


def bisect(
    model: Source,
    *,
    passes: str | Iterable[object] | None = None,
    level: int = 2,
    disabled: Iterable[str] = (),
    shapes: Any = None,
    constants: Constants | None = None,
    inputs: Inputs | None = None,
    equality: str = "default",
    threads: int | None = None,
    output: str | os.PathLike[str] | None = None,
) -> BisectReport:
    """Find which pass changes the answer of a model, and where.

    The passes are judged on ONNX Runtime without optimisations; when all are innocent, once more
    with them, as compiled models run.

    Args:
        model: in any form.
        passes: a pipeline string or passes; None for those of ``level``.
        level: 0 to 3.
        disabled: names of passes to leave out.
        shapes: fixed input shapes.
        constants: inputs frozen to a value.
        inputs: the person's own feeds; None derives them.
        equality: ``default`` or ``relaxed``.
        threads: per run; None takes what affinity and the container allow.
        output: where to write the zipped reproduction; None writes none.

    Raises:
        ModelError, UsageError, FeedError, BackendError: the original cannot be imported or run.
        ArtifactError: the reproduction cannot be written.
    """
    from graphopt.driver.legalize import for_onnxruntime
    from graphopt.driver.opt import import_model, pipeline
    from graphopt.driver.verify import oracle_factory
    from graphopt.equality.oracle import Oracle
    from graphopt.pipeline.manager import flatten

    steps = pipeline(passes, level=level, disabled=disabled, legalize=for_onnxruntime())
    names = list(dict.fromkeys(step.name() for step in flatten(steps)))
    imported = import_model(model, shapes=shapes, constants=constants)
    factory = oracle_factory(threads)
    oracle = Oracle.prepare(imported, factory, inputs=inputs)
    case = _Case(imported, steps, names, oracle, equality, factory)
    for optimise in (False, True):
        guilty = bisect_passes(names, case.builder(optimise, threads), oracle, mode=equality)
        if guilty is not None:
            return case.explain(guilty, optimise, output)
    report = oracle.judge(case.builder(True, threads)(names), equality)
    return BisectReport(str(report.verdict), f"nothing is wrong: {report.sentence()}", "", len(names))


@dataclass(frozen=True)
class _Case:
    """One model and its pipeline."""

    imported: ir.Model
    steps: tuple[Step, ...]
    names: Sequence[str]
    oracle: Oracle
    mode: str
    factory: RunnerFactory

    def model_after(self, names: Sequence[str]) -> ir.Model:
        """The model after the named passes of the pipeline."""
        from graphopt.driver.opt import optimize_model
        from graphopt.driver.runners import evaluator
        from graphopt.pipeline.manager import keep_passes

        kept = keep_passes(self.steps, frozenset(names))
        return optimize_model(self.imported.clone(), kept, evaluate=evaluator()).model

    def builder(self, optimise: bool, threads: int | None) -> Build:
        """Builds runners from names of passes."""
        from graphopt.backends.onnxruntime.runner import make_runner

        return lambda names: make_runner(self.model_after(names), optimise=optimise, threads=threads)

    def explain(self, guilty: Guilty, optimise: bool, output: str | os.PathLike[str] | None) -> BisectReport:
        """Go from the guilty pass to the smallest piece."""
        from graphopt.ir.walk import num_nodes

        who = guilty.pass_name or BACKEND
        piece = self._piece(guilty, optimise)
        written = None
        if output is not None and piece is not None:
            title = f"{who} changes the answer"
            written = str(write_reproduction(Path(output), piece, title=title, optimise=optimise))
        return BisectReport(
            verdict="semantic",
            sentence=f"{who} is guilty: {guilty.sentence}",
            guilty=who,
            passes=len(self.names),
            probes=guilty.probes,
            value=piece.value if piece else "",
            nodes_before=num_nodes(piece.before) if piece else 0,
            nodes_after=num_nodes(piece.after) if piece else 0,
            model_nodes=num_nodes(self.imported),
            reproduction=written,
        )

    def _piece(self, guilty: Guilty, optimise: bool) -> Divergence | None:
        """The smallest piece that shows the difference; None when the pass breaks the model altogether."""
        try:
            if optimise:
                after = self.model_after(self.names[: guilty.index + 1])
                return self._whole(after)
            before = self.model_after(self.names[: guilty.index])
            after = self.model_after(self.names[: guilty.index + 1])
            found = bisect_graph(before, after, self.factory, self._telling_feed(after), mode=self.mode)
        except GraphoptError:
            return None
        return found if not found.report.equal else None

    def _telling_feed(self, after: ir.Model) -> Any:
        """The feed on which the two differ most."""
        from dataclasses import replace

        runner = self.factory(after)

        def distance(index: int) -> tuple[bool, float]:
            one = replace(
                self.oracle, feeds=(self.oracle.feeds[index],), outputs=(self.oracle.outputs[index],)
            )
            report = one.judge(runner, self.mode)
            return not report.equal, report.ratio

        best = max(range(len(self.oracle.feeds)), key=distance)
        return self.oracle.feeds[best].values

    def _whole(self, after: ir.Model) -> Divergence | None:
        """The whole model with the runtime's own optimisations on: nothing smaller is ours to cut."""
        from graphopt.backends.onnxruntime.runner import make_runner

        report: EqualityReport = self.oracle.judge(make_runner(after, optimise=True), self.mode)
        feeds = self.oracle.feeds[0].values
        return Divergence("", self.imported, after, feeds, report)
