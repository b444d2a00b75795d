"""``graphopt opt``: run passes over a model and write the model back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphopt.cli import engine_options as e
from graphopt.cli import options as o
from graphopt.cli.output import note, print_json, table

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.driver.opt import Optimized


@click.command("opt")
@o.model_argument
@click.option("-o", "--output", type=o.PATH, metavar="OUT.onnx", help="Without it the text is printed.")
@o.passes_option
@o.level_option(2)
@o.disable_option
@click.option(
    "--backend",
    metavar="NAME",
    help="Also spell it the way this backend runs it fastest: onnxruntime, contrib operators included; "
    "tensorrt, for trtexec.",
)
@click.option("--target", metavar="TARGET", help="Of the backend: cuda:sm_86, …; without it any will do.")
@e.precision_option
@o.inputs_option
@o.shape_option
@o.const_option
@o.instrument_options
@o.json_option
@o.noise_options
def opt(
    model: Path,
    output: Path | None,
    passes: str | None,
    level: int,
    disabled: tuple[str, ...],
    backend: str | None,
    target: str | None,
    precision: str,
    inputs: Path | None,
    shapes: tuple[str, ...],
    constants: tuple[str, ...],
    print_before_all: bool,
    print_after_all: bool,
    print_before: tuple[str, ...],
    print_after: tuple[str, ...],
    time_passes: bool,
    verify_each: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Run passes over a model, ONNX in and ONNX out; nothing is measured or compared.

    \b
    graphopt opt in.onnx -o out.onnx
    graphopt opt in.onnx -p "canonical,fold-constants,dead-code" --print-after-all --time-passes
    graphopt opt in.onnx -o out.onnx --backend onnxruntime
    graphopt opt in.onnx -o out.onnx --backend tensorrt --precision fp16 --shape x:1x3x224x224
    """
    from graphopt.cli.watch import effect_table, note_remarks, time_table, watchers
    from graphopt.driver import opt as driver
    from graphopt.driver.opt_request import OptRequest
    from graphopt.ir.save import save_model
    from graphopt.ir.text import print_model

    steps = driver.pipeline(passes, level=level, disabled=o.split_names(disabled))
    imported = driver.import_model(model, shapes=shapes, constants=constants)
    before = _operators(imported)
    instruments = watchers(
        print_before_all=print_before_all,
        print_after_all=print_after_all,
        print_before=print_before,
        print_after=print_after,
        verify_each=verify_each,
    )
    request = OptRequest(
        steps, backend or "", target or "", precision, inputs, o.split_names(disabled), instruments
    )
    done = request.run(imported)
    if output is not None:
        save_model(done.model, output)
    if time_passes:
        note(time_table(done.effects))
    if as_json:
        print_json(_record(done, output, before))
    elif output is None:
        click.echo(print_model(done.model))
    elif not quiet:
        click.echo(effect_table(done.effects))
        click.echo(_operator_table(before, _operators(done.model)))
    if verbose:
        note_remarks(done.remarks)


def _operators(model: ir.Model) -> Counter[str]:
    from graphopt.ir.walk import nodes

    return Counter(f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in nodes(model))


def _operator_table(before: Counter[str], after: Counter[str]) -> str:
    names = sorted(before | after, key=lambda name: (-max(before[name], after[name]), name))
    rows = [(name, str(before[name]), str(after[name])) for name in names]
    rows.append(("all", str(before.total()), str(after.total())))
    return "\n" + table(("operator", "before", "after"), rows)


def _record(done: Optimized, output: Path | None, before: Counter[str]) -> dict[str, object]:
    from dataclasses import asdict

    from graphopt.pipeline.manager import pipeline_text

    return {
        "output": None if output is None else str(output),
        "pipeline": pipeline_text(done.steps),
        "operators": {"before": dict(before), "after": dict(_operators(done.model))},
        "effects": [effect.to_json() for effect in done.effects],
        "remarks": [asdict(remark) for remark in done.remarks],
    }
