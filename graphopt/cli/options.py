"""Options several verbs share, so that they are spelled and explained once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

PATH = click.Path(path_type=Path)

model_argument = click.argument("model", type=PATH, metavar="MODEL.onnx")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")

target_option = click.option(
    "--target", default="cpu", show_default=True, metavar="TARGET", help="cpu, cpu:avx2, cuda, cuda:sm_86, …"
)

threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads; without it, what affinity and the container allow.",
)

shape_option = click.option(
    "--shape",
    "--input-shapes",
    "shapes",
    multiple=True,
    metavar="NAME:DIMS",
    help="Fix an input's shape: x:1x3x224x224, x:[1,3,224,224], or bare dims for a single input. Repeatable.",
)

const_option = click.option(
    "--const",
    "constants",
    multiple=True,
    metavar="NAME=VALUE",
    help="Freeze an input to a value: sr=16000, scale=0.5, ids=[1,2,3]. Repeatable.",
)

inputs_option = click.option("--inputs", type=PATH, metavar="IN.npz", help="Arrays by input name.")

equality_option = click.option(
    "--equality",
    type=click.Choice(["default", "relaxed", "off"]),
    default="default",
    show_default=True,
    help="How close the result must stay to the model; relaxed allows 32 times the noise floor.",
)

passes_option = click.option(
    "-p", "--passes", metavar="PIPELINE", help='Passes to run instead of the level\'s: "fold,dead-code".'
)

disable_option = click.option(
    "--disable-pass",
    "--disabled-pass",
    "disabled",
    multiple=True,
    metavar="NAME[,NAME…]",
    help="Leave passes or groups out. Repeatable.",
)


def level_option(default: int) -> Callable[[Command], Command]:
    """``-O0`` to ``-O3``."""
    return click.option(
        "-O",
        "--opt-level",
        "level",
        type=click.IntRange(0, 3),
        default=default,
        show_default=True,
        help="0 import only, 1 cleanups, 2 fusion and measured choices, 3 also tuning.",
    )


def instrument_options(command: Command) -> Command:
    """What pass authors watch: text dumps, times, verification."""
    for option in (
        click.option("--verify-each", is_flag=True, help="Check the model after every pass."),
        click.option("--time-passes", is_flag=True, help="Print what each pass cost, on stderr."),
        click.option("--print-after", multiple=True, metavar="NAME", help="Print the model after a pass."),
        click.option("--print-before", multiple=True, metavar="NAME", help="Print the model before a pass."),
        click.option("--print-after-all", is_flag=True, help="Print the model after every pass, on stderr."),
        click.option("--print-before-all", is_flag=True, help="Print the model before every pass."),
    ):
        command = option(command)
    return command


def noise_options(command: Command) -> Command:
    """``-v`` and ``-q``."""
    command = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")(command)
    return click.option("-v", "--verbose", is_flag=True, help="Also print remarks and near misses.")(command)


def split_names(values: tuple[str, ...]) -> tuple[str, ...]:
    """``("a,b", "c")`` → ``("a", "b", "c")``."""
    return tuple(name for value in values for name in value.split(",") if name)
