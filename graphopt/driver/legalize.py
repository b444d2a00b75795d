"""A backend's own passes, over a region or over a whole model that one backend will run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from graphopt.errors import UsageError
from graphopt.pipeline.manager import PassManager, Step, flatten, keep_passes

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.backends.base import Backend
    from graphopt.driver.opt import Optimized
    from graphopt.driver.precision.lower import Lower
    from graphopt.pipeline.instrument import Instrument
    from graphopt.pipeline.protocols import RunnerFactory
    from graphopt.pipeline.records import Effect, Remark
    from graphopt.targets.target import Target

_ANY_GPU = "cuda:sm_80"
"""The oldest with every number format that precision is asked in."""


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
    from graphopt.pipeline.context import PassContext
    from graphopt.rewrite.inline import inline_functions

    ctx = PassContext(target=target, evaluate=evaluate)
    effects = PassManager(steps_of(steps, backend.name)).run(region, ctx)
    inline_functions(region, lambda call: not backend.claims(call, target).accepted)
    return Legalized(tuple(effects), tuple(ctx.remarks))


def optimize_for(
    model: ir.Model,
    steps: tuple[Step, ...],
    backend_name: str,
    *,
    target: Target | None = None,
    precision: Lower | None = None,
    feeds: Sequence[Mapping[str, Any]] = (),
    disabled: Iterable[str] = (),
    evaluate: RunnerFactory | None = None,
    instruments: Sequence[Instrument] = (),
) -> Optimized:
    """Run ``steps`` over ``model`` in place, then everything one backend does to a region.

    For people who run the result with that backend's own runtime: ONNX Runtime, or trtexec.

    Args:
        model: imported.
        steps: the pipeline; the backend's own passes are added where it has none of them.
        backend_name: as in placement tables.
        target: the machine to run on; None takes this CPU, or any GPU for a backend that knows only those.
        precision: what to compute in between: ``fp16`` or ``bf16``; None leaves the model's own.
        feeds: inputs to observe the ranges on that decide what stays in float32.
        disabled: names of passes to leave out.
        evaluate: computes constants.
        instruments: watchers of the pipeline.

    Raises:
        UsageError: there is no such backend, or it does not serve the target.
        PassError: a pass failed; ``model`` is then half transformed.
    """
    from graphopt.backends.registry import find_backend
    from graphopt.driver.opt import optimize_model, pipeline
    from graphopt.targets.parse import parse_target

    backend = find_backend(backend_name)
    target = target or parse_target("cpu" if "cpu" in backend.target_kinds else _ANY_GPU)
    if target.kind not in backend.target_kinds:
        kinds = " and ".join(backend.target_kinds)
        raise UsageError(f"backend '{backend_name}' is for {kinds}, not for {target.kind}", "change --target")
    if not steps_of(steps, backend_name):
        steps += pipeline(legalization([backend], target), disabled=disabled)
    whole = steps_of(steps, "")
    done = optimize_model(model, whole, target=target, evaluate=evaluate, instruments=instruments)
    if precision is not None:
        done = lower(done, precision, feeds, target)
        steps = (*done.steps, *steps_of(steps, backend_name))
    own = legalize(done.model, steps, backend, target, evaluate)
    return replace(
        done, steps=steps, effects=[*done.effects, *own.effects], remarks=[*done.remarks, *own.remarks]
    )


def lower(
    done: Optimized, precision: Lower, feeds: Sequence[Mapping[str, Any]], target: Target | None = None
) -> Optimized:
    """The optimised model in a lower precision; nothing is compared, ranges on ``feeds`` decide.

    Raises:
        BackendError: the model cannot be run.
    """
    from graphopt.driver.opt import optimize_model
    from graphopt.driver.precision.lower import lower_precision

    found = lower_precision(done.model, precision, imported=done.model, oracle=None, feeds=feeds)
    again = optimize_model(done.model, found.steps, target=target)
    return replace(
        done,
        steps=(*done.steps, *found.steps),
        effects=[*done.effects, *again.effects],
        remarks=[*done.remarks, *again.remarks, *found.remarks],
    )
