"""What the tests of rules share: all rules, and how they are run and compared."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType

import numpy as np
import onnx_ir as ir

import graphopt.backends
import graphopt.passes
from graphopt.backends.onnxruntime.runner import OnnxRuntimeRunner, make_runner
from graphopt.rewrite.draw import Array
from graphopt.rewrite.driver import apply
from graphopt.rewrite.proof import Notes as Sink
from graphopt.rewrite.proof import same_bits
from graphopt.rewrite.rule import Rule

__all__ = ["Sink", "same_bits"]


def rules() -> Iterator[tuple[str, Rule]]:
    """Every rule of every pass, those of the backends' legalisation too, with the pass's module."""
    seen: set[int] = set()
    for info in (*_modules(graphopt.passes), *_modules(graphopt.backends)):
        if info.ispkg:
            continue
        module = importlib.import_module(info.name)
        for rule in getattr(module, "RULES", ()):
            if id(rule) not in seen:
                seen.add(id(rule))
                yield info.name.rpartition(".")[2], rule


def _modules(package: ModuleType) -> Iterator[pkgutil.ModuleInfo]:
    return pkgutil.walk_packages(package.__path__, f"{package.__name__}.")


def plain_runner(model: ir.Model) -> OnnxRuntimeRunner:
    """ONNX Runtime with its optimisations off."""
    return make_runner(model, optimise=False, threads=1)


def run(model: ir.Model, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every output of ``model``, by ONNX Runtime with its optimisations off."""
    runner = plain_runner(model)
    return runner.run({name: feeds[name] for name in runner.input_names})


def fire(rule: Rule, model: ir.Model) -> tuple[bool, Sink]:
    """Apply the rule; whether it claims a change, and what it said."""
    sink = Sink()
    return apply(model, [rule], "proof", sink), sink


def agree(rule: Rule, before: Array, after: Array) -> bool:
    """Whether two results agree as exactly as the rule promises."""
    return same_bits(before, after) if rule.exact else is_rounding(before, after)


def is_rounding(before: Array, after: Array) -> bool:
    """A difference within the limits equality sets around a few ε of the largest element."""
    from graphopt.equality import tolerance

    if before.dtype != after.dtype or before.shape != after.shape:
        return False
    if before.dtype.kind != "f" or before.size == 0:
        return bool(np.array_equal(before, after))
    a, b = before.astype(np.float64), after.astype(np.float64)
    peak = tolerance.PEAK_EPS * float(np.finfo(before.dtype).eps) * float(np.max(np.abs(a)))
    return float(np.max(np.abs(a - b))) <= tolerance.limits("default").factor * peak
