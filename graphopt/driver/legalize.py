"""A backend's own passes, over a region or over a whole model that one backend will run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphopt.pipeline.manager import PassManager, Step, flatten, keep_passes

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.backends.base import Backend
    from graphopt.driver.opt import Optimized
    from graphopt.pipeline.instrument import Instrument
    from graphopt.pipeline.protocols import RunnerFactory
    from graphopt.pipeline.records import Effect, Remark
    from graphopt.targets.target import Target


@dataclass(frozen=True)
class Legalized:
    """What a backend's passes did to a region.

    Attributes:
        effects: of each pass run, in order.
        remarks: what the passes had to say.
    """

    effects: tuple[Effect, ...] = ()
    remarks: tuple[Remark, ...] = ()


def legalization(backends: Iterable[Backend], target: Target) -> tuple[Step, ...]:
    """The steps that legalise for ``backends``: a pipeline ends with them."""
    return tuple(step for backend in backends for step in backend.legalize(target))


def for_onnxruntime() -> tuple[Step, ...]:
    """The steps that legalise for ONNX Runtime on this machine's CPU."""
    from graphopt.backends.registry import find_backend
    from graphopt.targets.parse import parse_target

    return legalization([find_backend("onnxruntime")], parse_target("cpu"))


def steps_of(steps: tuple[Step, ...], backend: str) -> tuple[Step, ...]:
    """The part of a pipeline that belongs to one backend; with an empty name, to the whole model."""
    return keep_passes(steps, frozenset(p.name() for p in flatten(steps) if p.backend == backend))


def legalize(
    region: ir.Model,
    steps: tuple[Step, ...],
    backend: Backend,
    target: Target,
    evaluate: RunnerFactory | None = None,
) -> Legalized:
    """Rewrite a region in place into what ``backend`` runs fastest and has kernels for.

    Args:
        region: with calls of local functions the backend may have a spelling for.
        steps: a whole pipeline, of which the backend's own passes run.
        backend: of the region.
        target: the machine.
        evaluate: computes constants.

    Raises:
        PassError: a pass failed; the region is then half transformed.
    """
    from graphopt.backends.inline import inline_functions
    from graphopt.pipeline.context import PassContext

    ctx = PassContext(target=target, evaluate=evaluate)
    effects = PassManager(steps_of(steps, backend.name)).run(region, ctx)
    inline_functions(region, lambda call: not backend.claims(call, target).accepted)
    return Legalized(tuple(effects), tuple(ctx.remarks))


def optimize_for(
    model: ir.Model,
    steps: tuple[Step, ...],
    backend_name: str,
    *,
    disabled: Iterable[str] = (),
    evaluate: RunnerFactory | None = None,
    instruments: Sequence[Instrument] = (),
) -> Optimized:
    """Run ``steps`` over ``model`` in place, then everything one backend does to a region.

    For people who run the result with that backend's own runtime, on this machine's CPU.

    Args:
        model: imported.
        steps: the pipeline; the backend's own passes are added where it has none of them.
        backend_name: as in placement tables.
        disabled: names of passes to leave out.
        evaluate: computes constants.
        instruments: watchers of the pipeline.

    Raises:
        UsageError: there is no such backend.
        PassError: a pass failed; ``model`` is then half transformed.
    """
    from graphopt.backends.registry import find_backend
    from graphopt.driver.opt import optimize_model, pipeline
    from graphopt.targets.parse import parse_target

    backend, target = find_backend(backend_name), parse_target("cpu")
    if not steps_of(steps, backend_name):
        steps += pipeline(legalization([backend], target), disabled=disabled)
    done = optimize_model(
        model, steps_of(steps, ""), target=target, evaluate=evaluate, instruments=instruments
    )
    own = legalize(model, steps, backend, target, evaluate)
    return replace(
        done, steps=steps, effects=[*done.effects, *own.effects], remarks=[*done.remarks, *own.remarks]
    )
