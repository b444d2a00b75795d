"""What the benchmarks' command lines have in common."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.workloads import GROUPS, WORKLOADS, expand_workloads


def check_names(
    parser: argparse.ArgumentParser, options: argparse.Namespace, engines: Sequence[str], known: str
) -> None:
    """Expand ``options.models`` in place; end with a message where a workload or an engine is unknown.

    Args:
        parser: that made ``options``; it ends the program.
        options: with ``models``, names of workloads or groups, and ``engines``, names or None.
        engines: every name there is.
        known: the same, as a sentence says it.
    """
    try:
        options.models = expand_workloads(options.models)
    except KeyError as error:
        parser.error(f"no model is called {error}; there are {', '.join((*GROUPS, *WORKLOADS))}")
    unknown = set(options.engines or ()) - set(engines)
    if unknown:
        parser.error(f"no engine is called {', '.join(sorted(unknown))}; there are {known}")
