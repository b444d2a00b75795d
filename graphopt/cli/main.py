"""``graphopt``: the command line. Each verb is a file without logic; heavy imports wait inside it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from graphopt import __version__
from graphopt.cli.bench import bench
from graphopt.cli.bisect import bisect
from graphopt.cli.compile import compile_
from graphopt.cli.doctor import doctor
from graphopt.cli.explain import explain
from graphopt.cli.failures import guard
from graphopt.cli.inspect import inspect
from graphopt.cli.opt import opt
from graphopt.cli.pack import pack
from graphopt.cli.passes import passes
from graphopt.cli.run import run
from graphopt.cli.signals import unwind_on_signals
from graphopt.cli.verify import verify

# In the order in which a person meets them.
ALL_VERBS = (compile_, run, bench, inspect, explain, verify, bisect, opt, passes, pack, doctor)

EPILOG = (
    "Exit codes: 0 done, 1 the model or the target cannot, 2 usage, 3 equality failed, "
    "4 a constraint was not met, 130 interrupted, 141 nobody reads the output, 143 terminated."
)


class _InOrder(click.Group):
    """Lists verbs in the order they were added, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs' names."""
        del ctx
        return list(self.commands)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
    no_args_is_help=True,
)
@click.option("--debug", is_flag=True, help="Show tracebacks (also: GRAPHOPT_DEBUG=1).")
@click.version_option(__version__, prog_name="graphopt")
def graphopt(debug: bool) -> None:
    """An optimizing compiler for ONNX models: checked equal, measured, never slower."""
    del debug  # read by failures.guard, which runs before the arguments are parsed


for verb in ALL_VERBS:
    graphopt.add_command(verb)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code.

    Args:
        arguments: without the program's name; None for those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    unwind_on_signals()
    sys.exit(guard(graphopt, words))


if __name__ == "__main__":
    main()
