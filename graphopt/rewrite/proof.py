"""Proves a rule: draw cases, build the left side as a model, apply the rule, compare what both compute.

``prove(rule, make_runner)`` is all a test of a rule needs; graphopt's own rules are proven the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.rewrite.draw import Array, Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.infer import infer_outputs
from graphopt.rewrite.instantiate import CANONICAL_OPSET, instantiate
from graphopt.rewrite.pattern import Pattern
from graphopt.rewrite.rule import Rule

UNPROVABLE = frozenset({ir.DataType.BFLOAT16})
"""Types that runners cannot be fed from NumPy."""

_READERS = ("Unsqueeze", "Cast", "Concat")


class ProofError(AssertionError):
    """A case in which a rule does not do what it promises; the message says which and how."""


class ModelRunner(Protocol):
    """Computes a model's outputs."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Every output by name."""


MakeRunner = Callable[[ir.Model], ModelRunner]
Agree = Callable[[Array, Array], bool]


class Notes:
    """Takes the remarks of one application.

    Attributes:
        fired: names of the rules that fired.
        misses: (rule, node, reason) of the near misses.
    """

    def __init__(self) -> None:
        self.fired: list[str] = []
        self.misses: list[tuple[str, str, str]] = []

    def applied(self, pass_name: str, node: ir.Node | None, reason: str, rule: str = "") -> None:  # noqa: ARG002
        """A rule fired."""
        self.fired.append(rule)

    def missed(self, pass_name: str, node: ir.Node | None, reason: str, rule: str = "") -> None:  # noqa: ARG002
        """A rule nearly fired."""
        self.misses.append((rule, "" if node is None else str(node.name), reason))

    def reasons(self) -> list[str]:
        """The reasons of the near misses."""
        return [reason for _, _, reason in self.misses]


@dataclass(frozen=True)
class Trial:
    """One spelling of a rule's left side, one element type, one seed."""

    rule: Rule
    pattern: Pattern
    dtype: ir.DataType
    seed: int

    @property
    def label(self) -> str:
        """The trial in an error message."""
        ops = "+".join(call.op_type for call in self.pattern.calls)
        return f"{self.rule.name} as {ops} on {self.dtype.name}, seed {self.seed}"

    def draw(self, fill: Callable[[Draw], object]) -> Draw:
        """A case; the same one each time."""
        rng = np.random.default_rng([self.seed, int(self.dtype), len(self.pattern.calls)])
        case = Draw(rng, self.dtype, tuple(call.op_type for call in self.pattern.calls))
        fill(case)
        return case


def trials(rule: Rule, count: int) -> Iterator[Trial]:
    """``count`` trials of every spelling and element type."""
    for pattern in rule.patterns:
        for dtype in rule.dtypes:
            if dtype not in UNPROVABLE:
                yield from (Trial(rule, pattern, dtype, seed) for seed in range(count))


def prove(rule: Rule, make_runner: MakeRunner, *, count: int = 3, agree: Agree | None = None) -> int:
    """Show on random cases that both sides of ``rule`` compute the same and that it refuses what it must.

    Args:
        rule: must have a ``draw``.
        make_runner: makes runners that optimise nothing.
        count: cases for each spelling and element type.
        agree: whether two results are equal up to rounding; needed where the rule is not exact.

    Returns:
        The number of cases.

    Raises:
        ProofError: the first case that fails.
    """
    if rule.draw is None:
        raise ProofError(f"{rule.name} does not say how to draw cases")
    if not rule.exact and agree is None:
        raise ProofError(f"{rule.name} is not exact: say what agrees up to rounding")
    same = same_bits if rule.exact or agree is None else agree
    cases = 0
    for trial in trials(rule, count):
        _prove_trial(trial, rule.draw, make_runner, same)
        cases += 1
    for trial in trials(rule, 1):
        _prove_refusals(trial)
    return cases


def _prove_trial(trial: Trial, fill: Callable[[Draw], object], make_runner: MakeRunner, same: Agree) -> None:
    case = trial.draw(fill)
    model = with_readers(instantiate(trial.pattern, case), trial.rule)
    check(model)
    before = compute(model, case, make_runner)
    notes = Notes()
    changed = apply(model, [trial.rule], "proof", notes)
    if not changed or trial.rule.name not in notes.fired:
        raise ProofError(
            f"{trial.label}: it does not fire: {'; '.join(notes.reasons()) or 'no reason given'}"
        )
    check(model)
    after = compute(model, case, make_runner)
    for name, expected in before.items():
        if not same(expected, after[name]):
            raise ProofError(f"{trial.label}: {name} was\n{expected}\nand is\n{after[name]}")


def _prove_refusals(trial: Trial) -> None:
    for refusal in trial.rule.refusals:
        model = instantiate(trial.pattern, trial.draw(refusal.draw))
        notes = Notes()
        if apply(model, [trial.rule], "proof", notes):
            raise ProofError(f"{trial.label}: it fires where it must refuse")
        if refusal.because and not any(refusal.because in reason for reason in notes.reasons()):
            raise ProofError(f"{trial.label}: it refuses because {notes.reasons()}, not {refusal.because!r}")


def compute(model: ir.Model, case: Draw, make_runner: MakeRunner) -> dict[str, Array]:
    """Every output of ``model`` on the feeds of ``case``."""
    needed = {value.name for value in model.graph.inputs}
    return make_runner(model).run({name: feed for name, feed in case.feeds.items() if name in needed})


def check(model: ir.Model) -> None:
    """The ONNX checker's opinion, inference included; raises its error."""
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


def with_readers(model: ir.Model, rule: Rule) -> ir.Model:
    """Let a node that ``rule`` knows nothing of read each result, so that no result is a graph output."""
    known = {call.op_type for pattern in rule.patterns for call in pattern.calls}
    op_type = next(name for name in _READERS if name not in known)
    for index, result in enumerate(list(model.graph.outputs)):
        node = _reader(op_type, result, model.graph, index)
        model.graph.append(node)
        model.graph.outputs[index] = node.outputs[0]
    return model


def _reader(op_type: str, result: ir.Value, graph: ir.Graph, index: int) -> ir.Node:
    inputs, attributes = [result], []
    if op_type == "Unsqueeze":
        axes = ir.Value(name=f"axes_{index}", shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.INT64))
        axes.const_value = ir.tensor(np.zeros(1, np.int64))
        graph.register_initializer(axes)
        inputs.append(axes)
    elif op_type == "Cast":
        attributes.append(ir.AttrInt64("to", int(result.dtype or ir.DataType.FLOAT)))
    else:
        attributes.append(ir.AttrInt64("axis", 0))
    output = ir.Value(name=f"read_{index}")
    node = ir.Node("", op_type, inputs, attributes, outputs=[output], name=f"reader_{index}")
    infer_outputs(node, CANONICAL_OPSET)
    return node


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same bits; NaN equals NaN whatever its payload."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if not np.issubdtype(a.dtype, np.floating):
        return bool(np.array_equal(a, b))
    signs = np.signbit(a) == np.signbit(b)
    return bool(np.all(((a == b) & signs) | (np.isnan(a) & np.isnan(b))))
