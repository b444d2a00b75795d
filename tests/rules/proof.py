"""Proving a rule: draw a case, build the left side as a model, apply the rule, compare what both compute."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir

import graphopt.passes
from graphopt.backends.onnxruntime.runner import make_runner
from graphopt.rewrite.draw import Array, Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.instantiate import CANONICAL_OPSET
from graphopt.rewrite.pattern import Pattern
from graphopt.rewrite.rule import Rule

UNPROVABLE = frozenset({ir.DataType.BFLOAT16})
"""Types ONNX Runtime cannot be fed from Python."""


class Sink:
    """Collects what the driver says."""

    def __init__(self) -> None:
        self.fired: list[str] = []
        self.misses: list[tuple[str, str, str]] = []

    def applied(self, pass_name: str, node: ir.Node | None, reason: str, rule: str = "") -> None:
        self.fired.append(rule)

    def missed(self, pass_name: str, node: ir.Node | None, reason: str, rule: str = "") -> None:
        self.misses.append((rule, "" if node is None else str(node.name), reason))

    def reasons(self) -> list[str]:
        return [reason for _, _, reason in self.misses]


@dataclass(frozen=True)
class Trial:
    """One case of one spelling of one rule."""

    rule: Rule
    pattern: Pattern
    dtype: ir.DataType
    seed: int

    @property
    def label(self) -> str:
        ops = "+".join(call.op_type for call in self.pattern.calls)
        return f"{self.rule.name}[{ops}]-{self.dtype.name}-{self.seed}"

    def draw(self, fill: Callable[[Draw], None]) -> Draw:
        rng = np.random.default_rng([self.seed, int(self.dtype), len(self.pattern.calls)])
        case = Draw(rng, self.dtype, tuple(call.op_type for call in self.pattern.calls))
        fill(case)
        return case


def rules() -> Iterator[tuple[str, Rule]]:
    """Every rule of every pass, with the pass's module."""
    seen: set[int] = set()
    for info in pkgutil.walk_packages(graphopt.passes.__path__, "graphopt.passes."):
        if info.ispkg:
            continue
        module = importlib.import_module(info.name)
        for rule in getattr(module, "RULES", ()):
            if id(rule) not in seen:
                seen.add(id(rule))
                yield info.name.rpartition(".")[2], rule


def ops(rule: Rule) -> set[str]:
    """Operators of any spelling of the rule."""
    return {call.op_type for pattern in rule.patterns for call in pattern.calls}


def consume_results(model: ir.Model, avoid: set[str]) -> ir.Model:
    """Let a node read each result, so that results are no longer graph outputs themselves."""
    wrapper = next(op for op in ("Unsqueeze", "Cast", "Concat") if op not in avoid)
    graph = model.graph
    for index, result in enumerate(list(graph.outputs)):
        attributes: dict[str, object] = {}
        inputs = [result]
        if wrapper == "Unsqueeze":
            axes = ir.Value(name=f"axes_{index}", shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.INT64))
            axes.const_value = ir.tensor(np.zeros(1, np.int64))
            graph.register_initializer(axes)
            inputs.append(axes)
        elif wrapper == "Cast":
            attributes["to"] = int(result.dtype or ir.DataType.FLOAT)
        else:
            attributes["axis"] = 0
        node = ir.node(wrapper, inputs, attributes, name=f"consumer_{index}")
        node.outputs[0].name = f"seen_{index}"
        infer_outputs(node, CANONICAL_OPSET)
        graph.append(node)
        graph.outputs[index] = node.outputs[0]
    return model


def fire(rule: Rule, model: ir.Model) -> tuple[bool, Sink]:
    """Apply the rule; whether it claims a change, and what it said."""
    sink = Sink()
    return apply(model, [rule], "proof", sink), sink


def run(model: ir.Model, feeds: dict[str, Array]) -> dict[str, Array]:
    """Every output, by ONNX Runtime with its optimisations off."""
    runner = make_runner(model, optimise=False, threads=1)
    return runner.run({name: feeds[name] for name in runner.input_names})


def check(model: ir.Model) -> None:
    """The ONNX checker's opinion, inference included."""
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same bits; NaN equals NaN whatever its payload."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind not in "fV" and a.dtype != ml_dtypes.bfloat16:
        return bool(np.array_equal(a, b))
    wide, other = a.astype(np.float64), b.astype(np.float64)
    nan = np.isnan(wide)
    if not np.array_equal(nan, np.isnan(other)):
        return False
    equal = (wide == other) & (np.signbit(wide) == np.signbit(other))
    return bool(np.all(equal | nan))


def agree(rule: Rule, before: Array, after: Array) -> bool:
    """Whether two results agree as exactly as the rule promises."""
    if rule.exact:
        return same_bits(before, after)
    return _is_rounding(before, after)


def _is_rounding(before: Array, after: Array) -> bool:
    """A difference within the limits equality sets around a few ε of the largest element."""
    from graphopt.equality import tolerance

    if before.dtype != after.dtype or before.shape != after.shape:
        return False
    if before.dtype.kind != "f" or before.size == 0:
        return bool(np.array_equal(before, after))
    a, b = before.astype(np.float64), after.astype(np.float64)
    peak = tolerance.PEAK_EPS * float(np.finfo(before.dtype).eps) * float(np.max(np.abs(a)))
    difference = float(np.max(np.abs(a - b)))
    return difference <= tolerance.limits("default").factor * peak
