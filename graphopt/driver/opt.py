"""``opt``: run passes over a model and give the model back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

from graphopt.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx
    import onnx_ir as ir

    from graphopt.pipeline.context import PassContext
    from graphopt.pipeline.instrument import Instrument
    from graphopt.pipeline.manager import Step
    from graphopt.pipeline.protocols import RunnerFactory
    from graphopt.pipeline.records import Effect, Remark
    from graphopt.targets.target import Target

    Source = str | PathLike[str] | bytes | onnx.ModelProto | ir.Model
    Constants = Mapping[str, npt.NDArray[np.generic]] | Sequence[str]

DEFAULT_LEVEL = 2
LEGALIZE_FROM = 2
"""The first level that ends with the backends' own passes."""


@dataclass(frozen=True)
class Optimized:
    """A transformed model and the account of how it came about.

    Attributes:
        model: the result.
        steps: the pipeline that ran.
        effects: what each pass run did, in order.
        remarks: what the passes had to say, in order.
    """

    model: ir.Model
    steps: tuple[Step, ...]
    effects: list[Effect] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def pipeline(
    passes: str | Iterable[object] | None = None,
    *,
    level: int = DEFAULT_LEVEL,
    disabled: Iterable[str] = (),
    legalize: tuple[Step, ...] = (),
) -> tuple[Step, ...]:
    """The steps a request stands for.

    Args:
        passes: a pipeline string, or a list of such strings and of passes (graphopt, onnx_ir or
            onnxscript); None for the level's.
        level: 0 to 3, used when ``passes`` is None.
        disabled: names of passes or groups to leave out.
        legalize: the backends' own passes, with which a level ends from -O2 on. A person who spells
            the passes out writes the backend's name where they are wanted.

    Raises:
        UsageError: an unknown pass, level or option.
    """
    from graphopt.driver.known_passes import known_groups, known_passes
    from graphopt.passes.levels import LEVELS
    from graphopt.pipeline.adapt import adapt
    from graphopt.pipeline.manager import flatten, keep_passes
    from graphopt.pipeline.text import parse

    if passes is None:
        if not 0 <= level < len(LEVELS):
            raise UsageError(f"there is no level -O{level}", f"-O0 to -O{len(LEVELS) - 1}")
        passes = [LEVELS[level], *(legalize if level >= LEGALIZE_FROM else ())]
    known, groups = known_passes(), known_groups()
    steps: tuple[Step, ...] = ()
    for thing in (passes,) if isinstance(passes, str) else passes:
        steps += parse(thing, known, groups) if isinstance(thing, str) else (adapt(thing),)
    off = _disabled_names(disabled)
    if not off:
        return steps
    return keep_passes(steps, frozenset(p.name() for p in flatten(steps)) - off)


def _disabled_names(disabled: Iterable[str]) -> frozenset[str]:
    from graphopt.driver.known_passes import known_groups, known_passes

    groups, known = known_groups(), known_passes()
    names: set[str] = set()
    for name in disabled:
        if name in groups:
            names.update(cls.name() for cls in groups[name])
        elif name in known:
            names.add(name)
        else:
            raise UsageError(
                f"cannot disable {name!r}: there is no such pass", "`graphopt passes` lists them"
            )
    return frozenset(names)


def import_model(
    source: Source,
    *,
    shapes: Sequence[str] | Mapping[str, Sequence[int | str]] | None = None,
    constants: Constants | None = None,
) -> ir.Model:
    """Load a model and apply what the person fixed about its inputs.

    Args:
        source: a path, the bytes of a model, an ``onnx.ModelProto`` or an ``onnx_ir.Model`` (copied).
        shapes: ``{input: dims}`` or texts like ``x:1x3x224x224``.
        constants: inputs to freeze to a value: arrays by name, or texts like ``sr=16000``.

    Raises:
        ModelError: the model is damaged or invalid.
        UsageError: an input that does not exist, a shape or value that does not fit.
    """
    import onnx_ir as ir

    from graphopt.ir.freeze import freeze_inputs, parse_constants, set_input_shapes
    from graphopt.ir.load import load_model
    from graphopt.ir.shape_spec import parse_shape_specs

    model = load_model(source)
    if isinstance(source, ir.Model):
        model = model.clone()
    if constants:
        values = constants if isinstance(constants, Mapping) else parse_constants(constants, model)
        freeze_inputs(model, values)
    if shapes:
        dims = shapes if isinstance(shapes, Mapping) else parse_shape_specs(shapes, model)
        set_input_shapes(model, dims)
    return model


def optimize_model(
    model: ir.Model,
    steps: tuple[Step, ...],
    *,
    target: Target | None = None,
    evaluate: RunnerFactory | None = None,
    instruments: Sequence[Instrument] = (),
    context: Mapping[str, Any] | None = None,
) -> Optimized:
    """Run ``steps`` over ``model`` in place.

    Raises:
        PassError: a pass failed; ``model`` is then half transformed.
    """
    from graphopt.pipeline.context import PassContext
    from graphopt.pipeline.manager import PassManager

    ctx: PassContext = PassContext(target=target, evaluate=evaluate, **(context or {}))
    effects = PassManager(steps, instruments).run(model, ctx)
    return Optimized(model, steps, effects, ctx.remarks)


def optimize(
    model: Source,
    passes: str | Iterable[object] | None = None,
    *,
    level: int = DEFAULT_LEVEL,
    disabled: Iterable[str] = (),
    shapes: Sequence[str] | Mapping[str, Sequence[int | str]] | None = None,
    constants: Constants | None = None,
    instruments: Sequence[Instrument] = (),
    verify_each: bool = False,
) -> ir.Model:
    """Run passes over a model and return the result; the argument is left as it was.

    Args:
        model: a path, bytes, ``onnx.ModelProto`` or ``onnx_ir.Model``.
        passes: a pipeline string or a list of passes; None for those of ``level``.
        level: 0 to 3.
        disabled: names of passes to leave out.
        shapes: fixed input shapes.
        constants: inputs frozen to a value.
        instruments: watchers of the pipeline.
        verify_each: check the model after every pass.

    Returns:
        An ``onnx_ir.Model``; ``onnx_ir.to_proto`` gives the protobuf.

    Raises:
        ModelError, UsageError, PassError: see ``graphopt.errors``.
    """
    from graphopt.driver.runners import evaluator
    from graphopt.pipeline.instruments import VerifyEach

    steps = pipeline(passes, level=level, disabled=disabled)
    imported = import_model(model, shapes=shapes, constants=constants)
    watchers = (*instruments, VerifyEach()) if verify_each else tuple(instruments)
    return optimize_model(imported, steps, evaluate=evaluator(), instruments=watchers).model
