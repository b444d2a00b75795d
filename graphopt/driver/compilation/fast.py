"""Never slower: the candidate is raced against the input, and what loses is taken out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.driver.compilation.built import Settled
from graphopt.driver.compilation.equal import settle
from graphopt.driver.compilation.portfolio import without_preferred
from graphopt.driver.compilation.rivals import fallback_alone, without_each
from graphopt.report.record import Ablation, Dropped, Measurement

if TYPE_CHECKING:
    from graphopt.driver.compilation.candidate import Candidate, Workshop
    from graphopt.equality.oracle import Oracle
    from graphopt.measure.engine import Engine
    from graphopt.measure.records import Comparison, Ratio

INPUT = "input"
OPTIMISED = "optimised"
_MOST_ABLATIONS = 8
_INCONCLUSIVE = 0.1
"""A/A noise above which "as fast as the input" would claim too much."""
_CLEAR = 0.1
"""A lead that ends a race: processes of one program differ by a percent or two for good."""


@dataclass(frozen=True)
class Race:
    """What a measurement needs.

    Attributes:
        model: the input as a file, run by ONNX Runtime with all its optimisations.
        feeds: ``.npz`` file.
        threads: of every engine.
        seconds: budget of one comparison.
        progress: told now and then how far it is.
        gpu: whether the input runs on the GPU, as the candidates do.
    """

    model: Path
    feeds: Path
    threads: int
    seconds: float
    progress: Callable[[int, float], None] | None = None
    gpu: bool = False

    def run(self, candidates: Mapping[str, Candidate]) -> Comparison:
        """Measure the input and every candidate in turns, the input twice (A/A control).

        A race whose control says that it tells nothing is run once more, twice as long. One that is plainly
        won is not run to its end: what is shipped is certain then, only the factor is known less well. Nor is
        any known better than the noise it is compared with.
        """
        comparison = self._once(candidates, self.seconds)
        if comparison.noise <= _INCONCLUSIVE or comparison.conditions.stopped_by == "clear":
            return comparison
        again = self._once(candidates, 2 * self.seconds)
        return min(comparison, again, key=lambda c: c.noise)

    def _once(self, candidates: Mapping[str, Candidate], seconds: float) -> Comparison:
        from graphopt.driver.conditions import machine_name
        from graphopt.driver.engines import artifact_engine, onnxruntime_engine
        from graphopt.measure.compare import compare
        from graphopt.measure.records import MINIMUM_NOISE

        baseline = onnxruntime_engine(INPUT, self.model, self.feeds, self.threads, gpu=self.gpu)
        engines: list[Engine] = [baseline]
        engines += [artifact_engine(n, c.path, self.feeds, self.threads) for n, c in candidates.items()]
        return compare(
            engines,
            baseline=INPUT,
            budget_seconds=seconds * len(engines) / 2,
            precision=MINIMUM_NOISE,
            clear=_CLEAR,
            threads=self.threads,
            machine=machine_name(gpu=self.gpu),
            progress=self.progress,
        )


@dataclass(frozen=True)
class Raced:
    """What is to be shipped, and the evidence.

    Attributes:
        settled: the winner.
        measurement: for the report.
        memory: peak resident bytes of each engine's process.
    """

    settled: Settled
    measurement: Measurement
    memory: Mapping[str, int]


def no_slower(workshop: Workshop, settled: Settled, oracle: Oracle | None, mode: str, race: Race) -> Raced:
    """Race the candidate; if it lost, try it without each pass in turn, and at worst ship the input.

    A candidate on a preferred backend also races the same graph without that backend.
    """
    other = fallback_alone(workshop, settled, oracle, mode)
    rivals = {OPTIMISED: settled, **other.settled}
    comparison = race.run({name: rival.candidate for name, rival in rivals.items()})
    name = _winner(comparison, rivals)
    sentence = _sentence(comparison.ratio(name), comparison, [rival for rival in rivals if rival != name])
    if name != OPTIMISED:
        preferred = workshop.backends[0].name
        ratio = comparison.ratio(OPTIMISED, over=name)
        lost = Dropped.backend(preferred, f"the model was {1 / ratio.median:.2f}x slower with it")
        settled = replace(rivals[name], dropped=(*settled.dropped, lost, *rivals[name].dropped))
        workshop = without_preferred(workshop) or workshop
    ratio = comparison.ratio(name)
    if not _lost(ratio):
        return _raced(settled, comparison, name, "optimised", sentence, other.notes)
    variants = without_each(workshop, settled, oracle, mode, _MOST_ABLATIONS)
    notes = (*other.notes, *variants.notes)
    if variants.settled:
        again = race.run({name: variant.candidate for name, variant in variants.settled.items()})
        best = max(variants.settled, key=lambda name: again.ratio(name).median)
        if not _lost(again.ratio(best)):
            lost = Dropped(best, f"the whole model was {1 / ratio.median:.2f}x slower than the input with it")
            winner = replace(variants.settled[best], dropped=(*settled.dropped, lost))
            return _raced(winner, again, best, "optimised", _sentence(again.ratio(best)), notes)
    # What was raced is the input on the baseline: on another backend nobody knows how fast it is.
    untouched = settle(without_preferred(workshop) or workshop, (), oracle, mode)
    reason = f"the optimised model was {1 / ratio.median:.2f}x slower (noise {ratio.noise:.1%})"
    kept = replace(untouched, dropped=(*settled.dropped, *untouched.dropped))
    return _raced(kept, comparison, name, "input", reason, notes)


def _winner(comparison: Comparison, rivals: Mapping[str, Settled]) -> str:
    """The rival to ship: the candidate, unless another is faster by measure."""
    best = OPTIMISED
    for name in rivals:
        if name != best and comparison.ratio(name, over=best).verdict == "faster":
            best = name
    return best


def ablate(
    workshop: Workshop, settled: Settled, oracle: Oracle | None, mode: str, race: Race
) -> tuple[tuple[Ablation, ...], tuple[str, ...]]:
    """What each pass that changed something is worth, and which could not be left out alone.

    The model without it is raced against the model with it.
    """
    variants = without_each(workshop, settled, oracle, mode, most=None)
    if not variants.settled:
        return (), variants.notes
    candidates = {name: variant.candidate for name, variant in variants.settled.items()}
    comparison = race.run({OPTIMISED: settled.candidate, **candidates})
    # Time without the pass over time with it: above 1, it helps.
    rows = (Ablation(name, comparison.ratio(OPTIMISED, over=name).to_json()) for name in candidates)
    return tuple(rows), variants.notes


def _lost(ratio: Ratio) -> bool:
    """Whether a candidate must not be shipped: slower by measure, or far slower on too busy a machine."""
    far_slower = ratio.high < 1 / (1 + _INCONCLUSIVE)
    return ratio.verdict == "slower" or (ratio.noise > _INCONCLUSIVE and far_slower)


def _sentence(ratio: Ratio, comparison: Comparison | None = None, others: Sequence[str] = ()) -> str:
    if ratio.verdict == "faster":
        beside = [f"{name} {comparison.ratio(name).median:.3f}x" for name in others] if comparison else []
        return f"{ratio.median:.3f}x the speed of the input" + (f" ({', '.join(beside)})" if beside else "")
    if ratio.noise > _INCONCLUSIVE:
        return (
            f"not told apart from the input: this machine is too busy to measure on (noise {ratio.noise:.0%})"
        )
    return f"as fast as the input within the noise ({ratio.noise:.1%})"


def _raced(
    settled: Settled, comparison: Comparison, name: str, shipped: Any, reason: str, notes: tuple[str, ...]
) -> Raced:
    samples = {
        e.name: tuple(s * 1e-9 for s in e.samples) for e in comparison.engines if e.name in (INPUT, name)
    }
    if comparison.control is not None:
        samples["input (control)"] = tuple(s * 1e-9 for s in comparison.control.samples)
    if name in samples and name != OPTIMISED:
        samples[OPTIMISED] = samples.pop(name)
    memory = {
        "input peak": comparison.engine(INPUT).peak_rss_bytes,
        "optimised peak": comparison.engine(name).peak_rss_bytes,
    }
    measurement = Measurement(
        shipped=shipped,
        reason=reason,
        ratio=comparison.ratio(name).to_json(),
        conditions=comparison.conditions.to_json(),
        samples=samples,
        notes=notes,
    )
    return Raced(settled, measurement, memory)
