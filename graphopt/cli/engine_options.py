"""Options of engines for NVIDIA GPUs, under graphopt's names and those trtexec taught."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphopt.cli.options import PATH, Command
from graphopt.errors import UsageError

if TYPE_CHECKING:
    from graphopt.backends.engine_options import EngineOptions

_UNITS = {"": 1 << 20, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

precision_option = click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "bf16"]),
    default="fp32",
    show_default=True,
    help="Write casts to a lower precision into the graph, wherever sample inputs show that it is safe.",
)


def shape_range_options(command: Command) -> Command:
    """``--min-shapes``, ``--opt-shapes``, ``--max-shapes``: an optimisation profile."""
    for which, alias, about in (
        ("max", "--maxShapes", "Largest shapes of inputs with open dims. Repeatable."),
        ("opt", "--optShapes", "Shapes engines are tuned for; alone, the only ones. Repeatable."),
        ("min", "--minShapes", "Smallest shapes of inputs with open dims: x:1x3x224x224. Repeatable."),
    ):
        option = click.option(
            f"--{which}-shapes", alias, f"{which}_shapes", multiple=True, metavar="NAME:DIMS", help=about
        )
        command = option(command)
    return command


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How engines are built; see ``read_engine_options``."""
    for option in (
        click.option("--tf32", is_flag=True, help="Engines may round float32 products to TensorFloat-32."),
        click.option(
            "--hardware-compatible",
            "--hardwareCompatibilityLevel",
            type=click.Choice(["none", "same", "ampere+"]),
            default="none",
            show_default=True,
            help="Which cards besides the named ones may run the engines.",
        ),
        click.option(
            "--version-compatible",
            "--versionCompatible",
            is_flag=True,
            help="Engines also run on later versions of TensorRT.",
        ),
        click.option(
            "--timing-cache",
            "--timingCacheFile",
            type=PATH,
            metavar="FILE",
            help="Keep the builder's timings there.",
        ),
        click.option(
            "--builder-level",
            "--builderOptimizationLevel",
            type=click.IntRange(0, 5),
            default=3,
            show_default=True,
            help="0 builds engines quickly, 5 builds the best.",
        ),
        click.option(
            "--workspace",
            "--memPoolSize",
            metavar="SIZE",
            help="Most scratch memory of an engine: 2GiB, 512M, workspace:512M; a bare number is MiB.",
        ),
    ):
        command = option(command)
    return command


def read_engine_options(
    *,
    workspace: str | None,
    builder_level: int,
    timing_cache: Path | None,
    version_compatible: bool,
    hardware_compatible: Any,
    tf32: bool,
) -> EngineOptions:
    """What was typed, as EngineOptions; raises UsageError for a size that cannot be read."""
    from graphopt.backends.engine_options import EngineOptions

    return EngineOptions(
        workspace_bytes=None if workspace is None else parse_size(workspace.removeprefix("workspace:")),
        builder_level=builder_level,
        timing_cache=None if timing_cache is None else str(timing_cache),
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
        tf32=tf32,
    )


def parse_size(text: str) -> int:
    """Bytes of ``2GiB``, ``512M``, ``1.5g``, ``4096B``; a bare number is MiB, as trtexec means it.

    Raises:
        UsageError: it is no size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", text.strip().lower())
    size = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size <= 0:
        raise UsageError(f"{text!r} is no size", "write 2GiB, 512MiB, or a number of MiB")
    return size
