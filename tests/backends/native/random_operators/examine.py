"""One drawn operator, or one random network, natively: what does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx.printer
from onnx import ModelProto

from graphopt.backends.native.module import import_kernels
from tests.backends.native.random_operators.along_axes import ALONG_AXES
from tests.backends.native.random_operators.check import (
    Refused,
    ask,
    compare,
    native,
    onnxruntime,
    plan_of,
    reference,
    widened,
)
from tests.backends.native.random_operators.draw import Array, Draw
from tests.backends.native.random_operators.graphs import random_network
from tests.backends.native.random_operators.linear import LINEAR
from tests.backends.native.random_operators.model import Subject, subject
from tests.backends.native.random_operators.movement import MOVEMENT
from tests.backends.native.random_operators.pointwise import POINTWISE
from tests.backends.native.random_operators.sequence import SEQUENCE
from tests.backends.native.random_operators.views import VIEWS

OPERATORS = {**POINTWISE, **VIEWS, **MOVEMENT, **LINEAR, **ALONG_AXES, **SEQUENCE}
"""What is drawn for each operator of the standard that the native core claims."""

ROUNDINGS = 2e-5
"""How far a network's result may be from the exact one, of its largest element: some hundred float32
epsilons, for a dozen layers with sums of some hundred products each. Wrong results are wrong by more."""


@dataclass(frozen=True)
class Outcome:
    """How an examination ended.

    Attributes:
        claimed: whether the native core took it.
        checked: whether an oracle could say anything.
        complaints: what does not hold.
    """

    claimed: bool
    checked: bool = False
    complaints: tuple[str, ...] = ()


def examine_operator(op: str, seed: int) -> Outcome:
    """Draw an operator; run it at every level, with one to three threads, for one or two sets of shapes."""
    first = _drawn(op, seed, 0)
    try:
        plan = plan_of(first.model)
    except Refused:
        return Outcome(False)
    second = _of_other_sizes(op, seed, first)
    subjects = [first] if second is None else [first, second]
    oracles = [ask(s.case, s.model, s.feeds) for s in subjects]
    complaints: list[str] = []

    def judge(results: Sequence[Mapping[str, Array]]) -> list[str]:
        found = []
        for one, oracle, got in zip(subjects, oracles, results, strict=False):
            said = compare(one.case, oracle, one.bounds, got)
            if oracle.results and len(said) == len(oracle.results):
                found.append("; ".join(f"{name}: {text}" for name, text in said.items()))
        return found

    if all(oracle.results for oracle in oracles):
        complaints = _run(plan, [s.feeds for s in subjects], seed, judge)
    text = f"{op} {seed}:"
    if complaints:
        complaints.append(onnx.printer.to_text(_without_contents(first.model)))
    return Outcome(True, bool(oracles[0].results), tuple(f"{text} {c}" for c in complaints))


def examine_network(seed: int) -> Outcome:
    """Build a random network and run it as above."""
    case = random_network(seed)
    try:
        plan = plan_of(case.model)
    except Refused:
        return Outcome(False)
    wanted = [(onnxruntime(case.model, feeds), _exactly(case.model, feeds)) for feeds in case.feeds]

    def judge(results: Sequence[Mapping[str, Array]]) -> list[str]:
        found = []
        for (near, exact), got in zip(wanted, results, strict=False):
            found += [f"{name}: {_distance(got[name], near[name], exact[name])}" for name in exact]
        return [text for text in found if not text.endswith(": ")]

    complaints = _run(plan, case.feeds, seed, judge)
    if complaints:
        complaints.append(onnx.printer.to_text(_without_contents(case.model)))
    return Outcome(True, True, tuple(f"network {seed}: {c}" for c in complaints))


def _run(plan: bytes, feeds: Sequence[Mapping[str, Array]], seed: int, judge: object) -> list[str]:
    """Complaints of a judge about the results, and about results that differ from one another.

    Each set of feeds goes through one open plan, the first of them twice: the shapes of the others lie in
    between. One level, another one for each seed, sees all numbers of threads.
    """
    complaints = []
    levels = sorted(set(import_kernels().supported_isas()) & {"x86-64", "avx2", "neon"})
    levels.append(import_kernels().best_isa())
    for number, isa in enumerate(dict.fromkeys(levels)):
        counts = (2, 1, 3) if number == seed % len(levels) else (1 + (seed + number) % 3,)
        before: list[dict[str, Array]] | None = None
        for threads in counts:
            try:
                results = native(plan, [*feeds, feeds[0]], isa, threads)
            except Exception as error:
                complaints.append(f"on {isa}: {error}")
                break
            if not _same(results[0], results[-1]):
                complaints.append(f"on {isa}: run again, it gives something else")
            if before is not None and not all(map(_same, before, results)):
                complaints.append(f"on {isa}: {threads} threads give something else")
            before = results
            complaints += [f"on {isa}: {text}" for text in judge(results)]  # type: ignore[operator]
    return complaints


def _same(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    return all(a[name].tobytes() == b[name].tobytes() for name in a)


def _drawn(op: str, seed: int, sizes: int) -> Subject:
    draw = Draw(seed, sizes)
    return subject(OPERATORS[op](draw), draw)


def _of_other_sizes(op: str, seed: int, first: Subject) -> Subject | None:
    """The same model for tensors of other sizes, where the draw allows it."""
    try:
        second = _drawn(op, seed, 1)
    except ValueError:  # sizes that its structure does not go with
        return None
    same = second.model.SerializeToString() == first.model.SerializeToString()
    return second if same else None


def _exactly(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    return reference(widened(model), {name: array.astype(np.float64) for name, array in feeds.items()})


def _distance(got: Array, near: Array, exact: Array) -> str:
    """Why a result is wrong; empty where it is not. What float32 costs elsewhere is granted several times."""
    if got.shape != exact.shape:
        return f"shape {got.shape} instead of {exact.shape}"
    if not got.size:
        return ""
    allowed = ROUNDINGS * max(1e-3, float(np.abs(exact).max())) + 30 * float(np.abs(near - exact).max())
    off = float(np.abs(got - exact).max())
    return "" if off <= allowed else f"off by {off:.3g}, allowed are {allowed:.3g}"


def _without_contents(model: ModelProto) -> ModelProto:
    """The model with its constants as inputs: what can be read."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for tensor in model.graph.initializer:
        copy.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    del copy.graph.initializer[:]
    return copy
