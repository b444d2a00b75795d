"""Never slower: the candidate is raced against the input, and what loses is taken out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.driver.compilation.equal import Settled, settle
from graphopt.report.record import Ablation, Dropped, Measurement

if TYPE_CHECKING:
    from graphopt.driver.compilation.candidate import Candidate, Workshop
    from graphopt.equality.oracle import Oracle
    from graphopt.measure.engine import Engine
    from graphopt.measure.records import Comparison, Ratio
    from graphopt.pipeline.manager import Step

INPUT = "input"
OPTIMISED = "optimised"
_MOST_ABLATIONS = 8
_INCONCLUSIVE = 0.1
"""A/A noise above which "as fast as the input" would claim too much."""


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

        A race whose control says that it tells nothing is run once more, twice as long.
        """
        comparison = self._once(candidates, self.seconds)
        if comparison.noise <= _INCONCLUSIVE:
            return comparison
        again = self._once(candidates, 2 * self.seconds)
        return min(comparison, again, key=lambda c: c.noise)

    def _once(self, candidates: Mapping[str, Candidate], seconds: float) -> Comparison:
        from graphopt.driver.conditions import machine_name
        from graphopt.driver.engines import artifact_engine, onnxruntime_engine
        from graphopt.measure.compare import compare

        baseline = onnxruntime_engine(INPUT, self.model, self.feeds, self.threads, gpu=self.gpu)
        engines: list[Engine] = [baseline]
        engines += [artifact_engine(n, c.path, self.feeds, self.threads) for n, c in candidates.items()]
        return compare(
            engines,
            baseline=INPUT,
            budget_seconds=seconds * len(engines) / 2,
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

    A candidate on a preferred backend also races the same model without that backend.
    """
    from graphopt.driver.compilation.portfolio import fallback_alone, without_preferred

    rivals = {OPTIMISED: settled}
    other = fallback_alone(workshop, settled, oracle, mode)
    if other is not None:
        rivals[f"{other[0]} alone"] = other[1]
    comparison = race.run({name: rival.candidate for name, rival in rivals.items()})
    name = _winner(comparison, rivals)
    sentence = _sentence(comparison.ratio(name), comparison, [rival for rival in rivals if rival != name])
    if name != OPTIMISED:
        preferred = workshop.backends[0].name
        ratio = comparison.ratio(OPTIMISED, over=name)
        lost = Dropped(f"backend {preferred}", f"the model was {1 / ratio.median:.2f}x slower with it")
        settled = replace(rivals[name], dropped=(*settled.dropped, lost))
        workshop = without_preferred(workshop) or workshop
    ratio = comparison.ratio(name)
    if not _lost(ratio):
        return _raced(settled, comparison, name, "optimised", sentence)
    variants = _without_each(workshop, settled, oracle, mode)
    if variants:
        again = race.run({name: variant.candidate for name, variant in variants.items()})
        best = max(variants, key=lambda name: again.ratio(name).median)
        if not _lost(again.ratio(best)):
            lost = Dropped(best, f"the whole model was {1 / ratio.median:.2f}x slower than the input with it")
            winner = replace(variants[best], dropped=(*settled.dropped, lost))
            return _raced(winner, again, best, "optimised", _sentence(again.ratio(best)))
    untouched = settle(workshop, (), oracle, mode)
    reason = f"the optimised model was {1 / ratio.median:.2f}x slower (noise {ratio.noise:.1%})"
    kept = replace(untouched, dropped=settled.dropped)
    return _raced(kept, comparison, name, "input", reason)


def _winner(comparison: Comparison, rivals: Mapping[str, Settled]) -> str:
    """The rival to ship: the candidate, unless another is faster by measure."""
    best = OPTIMISED
    for name in rivals:
        if name != best and comparison.ratio(name, over=best).verdict == "faster":
            best = name
    return best


def ablate(
    workshop: Workshop, settled: Settled, oracle: Oracle | None, mode: str, race: Race
) -> tuple[Ablation, ...]:
    """What each pass that changed something is worth: the model without it against the model with it."""
    variants = _without_each(workshop, settled, oracle, mode, most=None)
    if not variants:
        return ()
    comparison = race.run({OPTIMISED: settled.candidate, **{n: v.candidate for n, v in variants.items()}})
    # Time without the pass over time with it: above 1, it helps.
    return tuple(Ablation(name, comparison.ratio(OPTIMISED, over=name).to_json()) for name in variants)


def _without_each(
    workshop: Workshop, settled: Settled, oracle: Oracle | None, mode: str, most: int | None = _MOST_ABLATIONS
) -> dict[str, Settled]:
    """The candidate without each pass that changed something, those with the most effect first."""
    from graphopt.pipeline.manager import flatten, keep_passes

    changes: dict[str, int] = {}
    for effect in settled.candidate.effects:
        if effect.modified:
            name = effect.pass_text.partition("{")[0]
            changes[name] = changes.get(name, 0) + 1 + abs(effect.nodes_before - effect.nodes_after)
    names = frozenset(p.name() for p in flatten(settled.steps))
    variants: dict[str, Settled] = {}
    for name in sorted(changes, key=lambda n: -changes[n])[:most]:
        steps: tuple[Step, ...] = keep_passes(settled.steps, names - {name})
        variant = settle(workshop, steps, oracle, mode)
        if not variant.dropped:
            variants[name] = variant
    return variants


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


def _raced(settled: Settled, comparison: Comparison, name: str, shipped: Any, reason: str) -> Raced:
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
    )
    return Raced(settled, measurement, memory)
