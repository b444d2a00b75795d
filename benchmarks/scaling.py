"""``make scaling``: how the time of ``compile -O2 --no-measure`` grows from 10,000 to 50,000 nodes.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --shapes deep --sizes 2000,10000
    python -m benchmarks.scaling --sizes 10000 --passes        which pass takes the time
    python -m benchmarks.scaling --profile deep.prof --shapes deep --sizes 10000

Two shapes of synthetic models, made of what passes look for (normalisation and Gelu in pieces, Reshape and
Transpose pairs, Shape arithmetic, no-op casts, constants): ``deep`` is one chain of blocks, ``wide``
hangs every block on the one input, so that one value has thousands of readers. Each compile runs in a
fresh process. The ratio would be 5 if time were proportional to size; work that does not grow makes it less.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from graphopt.errors import BackendError

if TYPE_CHECKING:
    import onnx

SHAPES = ("deep", "wide")
SIZES = (10_000, 50_000)
WIDTH = 8
LIMIT_SECONDS = 3600

_BLOCK = """
  s{i} = Shape ({x})
  l{i} = Slice (s{i}, zero, one)
  t{i} = Concat <axis = 0> (l{i}, tail)
  r{i} = Reshape ({x}, t{i})
  c{i} = Cast <to = 1> (r{i})
  m{i} = MatMul (c{i}, weight)
  a{i} = Add (m{i}, bias)
  d{i} = Div (a{i}, root)
  e{i} = Erf (d{i})
  p{i} = Add (e{i}, unit)
  g{i} = Mul (a{i}, p{i})
  h{i} = Mul (g{i}, half)
  u{i} = Transpose <perm = [0, 2, 1]> (h{i})
  v{i} = Tanh (u{i})
  w{i} = Transpose <perm = [0, 2, 1]> (v{i})
  n{i} = Add (w{i}, r{i})
  o{i} = ReduceMean <keepdims = 1> (n{i}, last)
  q{i} = Sub (n{i}, o{i})
  k{i} = Pow (q{i}, two)
  f{i} = ReduceMean <keepdims = 1> (k{i}, last)
  b{i} = Add (f{i}, tiny)
  j{i} = Sqrt (b{i})
  z{i} = Div (q{i}, j{i})
  x{i} = Mul (z{i}, unit)
"""


def synthetic(shape: str, nodes: int) -> onnx.ModelProto:
    """A model of about so many nodes.

    Args:
        shape: ``deep`` or ``wide``.
        nodes: how many.
    """
    import numpy as np
    import onnx.numpy_helper
    import onnx.parser

    blocks = max(nodes // _block_nodes(), 1)
    lines, ends = [], []
    for i in range(blocks):
        source = f"x{i - 1}" if shape == "deep" and i else "x"
        lines.append(_BLOCK.format(i=i, x=source))
        ends.append(f"x{i}")
    if shape == "wide":
        lines += [f"y{i} = Add ({f'y{i - 1}' if i else 'x'}, {end})\n" for i, end in enumerate(ends)]
    result = ("y" if shape == "wide" else "x") + str(blocks - 1)
    graph = f"g (float[N, 4, {WIDTH}] x) => (float[N, 4, {WIDTH}] {result}) {{{''.join(lines)}}}"
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": 18]> {graph}')
    rng = np.random.default_rng(0)
    constants: dict[str, Any] = {
        "weight": rng.standard_normal((WIDTH, WIDTH), np.float32) / WIDTH**0.5,
        "bias": rng.standard_normal(WIDTH, np.float32),
        "root": np.float32(2**0.5),
        "unit": np.float32(1),
        "half": np.float32(0.5),
        "two": np.float32(2),
        "tiny": np.float32(1e-3),
        "last": np.array([-1]),
        "zero": np.array([0]),
        "one": np.array([1]),
        "tail": np.array([4, WIDTH]),
    }
    for name, value in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return model


def _block_nodes() -> int:
    return sum(1 for line in _BLOCK.splitlines() if line.strip())


def compile_seconds(shape: str, nodes: int) -> dict[str, Any]:
    """Compile a synthetic model in a fresh process: seconds in all, per stage and per pass, and peak memory.

    Raises:
        BackendError: it failed, with the last line it printed.
    """
    command = [sys.executable, "-m", "benchmarks.scaling", "--child", shape, str(nodes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if done.returncode:
        raise BackendError((done.stderr.strip().splitlines() or ["it died"])[-1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _child(shape: str, nodes: int) -> dict[str, Any]:
    """One compile, timed, in this process."""
    import graphopt
    from graphopt.measure.memory import peak_rss_bytes

    model = synthetic(shape, nodes)
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        done = graphopt.compile(model, output=Path(folder) / "model.gopt", level=2, measure=False, threads=1)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    passes: Counter[str] = Counter()
    for effect in done.report.effects:
        passes[effect.pass_text] += effect.seconds  # type: ignore[assignment]
    return {
        "nodes": len(model.graph.node),
        "left": done.report.effects[-1].nodes_after,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "stages": done.report.seconds,
        "passes": dict(passes.most_common(12)),
        "peak_rss_bytes": peak_rss_bytes(),
        "dropped": [dropped.pass_text for dropped in done.report.dropped],
    }


def _print(console: Console, shape: str, rows: Sequence[dict[str, Any]], with_passes: bool) -> None:
    table = Table(title=f"{shape}: compile -O2 --no-measure, one fresh process each", title_justify="left")
    table.add_column("")
    for row in rows:
        table.add_column(f"{row['nodes']:,} nodes", justify="right")
    table.add_column("ratio", justify="right")

    def add(name: str, values: Sequence[float], form: str) -> None:
        ratio = f"{values[-1] / values[0]:.2f}" if len(values) > 1 and values[0] else ""
        table.add_row(name, *(format(value, form) for value in values), ratio)

    add("nodes left", [row["left"] for row in rows], ",")
    add("seconds", [row["seconds"] for row in rows], ".1f")
    add("CPU seconds", [row["cpu_seconds"] for row in rows], ".1f")
    for stage in rows[0]["stages"]:
        add(f"  {stage}", [row["stages"][stage] for row in rows], ".1f")
    if with_passes:
        for name in rows[-1]["passes"]:
            add(f"    {name}", [row["passes"].get(name, 0.0) for row in rows], ".2f")
    add("peak MB", [row["peak_rss_bytes"] / 1e6 for row in rows], ".0f")
    console.print(table)
    dropped = [name for row in rows for name in row["dropped"]]
    if dropped:
        console.print(f"dropped: {', '.join(dropped)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 unless a compile fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--passes", action="store_true", help="also the passes that take longest")
    parser.add_argument("--profile", metavar="FILE", help="profile one compile in this process with cProfile")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(_child(options.child[0], int(options.child[1]))))
        return 0
    shapes, sizes = options.shapes.split(","), [int(size) for size in options.sizes.split(",")]
    if options.profile:
        import cProfile

        with cProfile.Profile() as profile:
            _child(shapes[0], sizes[0])
        profile.dump_stats(options.profile)
        return 0
    console = Console()
    for shape in shapes:
        try:
            rows = [compile_seconds(shape, size) for size in sizes]
        except BackendError as error:
            console.print(f"{shape}: {error.message}", markup=False)
            return 1
        _print(console, shape, rows, options.passes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
