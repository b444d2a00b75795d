"""CompileOptions: what a person can ask of one compile."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from graphopt.backends.engine_options import EngineOptions
from graphopt.driver.opt import DEFAULT_LEVEL
from graphopt.errors import UsageError

if TYPE_CHECKING:
    from graphopt.driver.opt import Constants
    from graphopt.equality.oracle import Inputs
    from graphopt.pipeline.instrument import Instrument

EqualityMode = Literal["default", "relaxed", "off"]
Precision = Literal["fp32", "fp16", "bf16"]
Shapes = Sequence[str] | Mapping[str, Sequence[int | str]]
DEFAULT_MEASURE_SECONDS = 4.0
"""Fifty rounds of four engines: an interval of about a percent, which is the noise it is compared with."""


@dataclass(frozen=True)
class CompileOptions:
    """What a person can ask of one compile.

    Attributes:
        target: ``cpu``, ``cpu:avx2``, a named target ….
        level: 0 to 3; which passes run when ``passes`` is None.
        passes: a pipeline string, or passes.
        disabled: passes or groups to leave out.
        shapes: fixed input shapes, as texts or ``{input: dims}``.
        constants: inputs frozen to a value.
        inputs: the person's own feeds, for equality and measurement: an ``.npz`` path, a mapping or
            several mappings; None derives them from the graph.
        precision: ``fp32`` keeps the model's own; ``fp16`` and ``bf16`` write casts into the graph,
            wherever sample inputs show that it is safe.
        engine: how engines are built, their profiles left out.
        min_shapes: smallest shapes of inputs with open dims, spelled like ``shapes``.
        opt_shapes: the shapes engines are tuned for.
        max_shapes: largest shapes.
        threads: intra-op threads; None takes what affinity and the container allow.
        equality: ``default``, ``relaxed`` (32 times the noise floor) or ``off``.
        measure: race the result against the input, and never ship a slower one.
        measure_each: also measure what each pass is worth.
        measure_seconds: budget of one comparison of two engines.
        backends: names of the backends that may run regions, most preferred first; None takes all there are.
        strict: a node that falls back to another backend is an error.
        replay: an earlier artifact whose decisions are repeated without measuring.
        instruments: watchers of the pipeline.
        progress: called with one line when a stage begins.
    """

    target: str = "cpu"
    level: int = DEFAULT_LEVEL
    passes: str | Sequence[object] | None = None
    disabled: tuple[str, ...] = ()
    shapes: Shapes | None = None
    constants: Constants | None = None
    inputs: Inputs | None = None
    precision: Precision = "fp32"
    engine: EngineOptions = field(default_factory=EngineOptions)
    min_shapes: Shapes | None = None
    opt_shapes: Shapes | None = None
    max_shapes: Shapes | None = None
    threads: int | None = None
    equality: EqualityMode = "default"
    measure: bool = True
    measure_each: bool = False
    measure_seconds: float = DEFAULT_MEASURE_SECONDS
    backends: tuple[str, ...] | None = None
    strict: bool = False
    replay: str | os.PathLike[str] | None = None
    instruments: Sequence[Instrument] = ()
    progress: Callable[[str], None] | None = None


def read_options(options: Mapping[str, Any]) -> CompileOptions:
    """Options by name, checked; raises UsageError for unknown ones and those that contradict one another."""
    try:
        chosen = CompileOptions(**options)
    except TypeError as error:
        raise UsageError(f"compile: {error}".replace("CompileOptions.__init__() ", "")) from None
    if chosen.equality not in ("default", "relaxed", "off"):
        raise UsageError(f"there is no equality mode {chosen.equality!r}", "default, relaxed or off")
    if chosen.precision not in ("fp32", "fp16", "bf16"):
        raise UsageError(f"there is no precision {chosen.precision!r}", "fp32, fp16 or bf16")
    if chosen.precision != "fp32" and not chosen.target.strip().lower().startswith("cuda"):
        raise UsageError(
            f"a CPU gains nothing from {chosen.precision}: ONNX Runtime computes it in float32 there",
            "--precision is for GPUs, as in --target cuda:sm_86",
        )
    if chosen.measure_each and not chosen.measure:
        raise UsageError("measure_each without measuring", "drop --no-measure")
    return chosen
