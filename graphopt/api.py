"""The public verbs. Each lives in the driver (or the runtime); this is the one list of them."""

from __future__ import annotations

from graphopt.artifact.pack import pack
from graphopt.backends.engine_options import EngineOptions
from graphopt.driver.bench import bench
from graphopt.driver.bisect import bisect
from graphopt.driver.compile import CompileResult, compile_model
from graphopt.driver.doctor import doctor
from graphopt.driver.explain import explain
from graphopt.driver.graphsurgeon.convert import from_graphsurgeon, to_graphsurgeon
from graphopt.driver.inspect import inspect
from graphopt.driver.opt import optimize
from graphopt.driver.verify import verify
from graphopt.runtime.session import load

compile = compile_model  # noqa: A001 - the verb people look for

__all__ = [
    "CompileResult",
    "EngineOptions",
    "bench",
    "bisect",
    "compile",
    "doctor",
    "explain",
    "from_graphsurgeon",
    "inspect",
    "load",
    "optimize",
    "pack",
    "to_graphsurgeon",
    "verify",
]
