"""If and Loop folded away in random graphs: the same bits, the same outputs, and nothing left to do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphopt.driver.opt import optimize_model, pipeline
from graphopt.ir.levels import Level
from graphopt.ir.verify import check
from tests.ir.shape_programs import run

HEADER = '<ir_version: 10, opset_import: ["" : 21]>'
PIPELINE = "canonical,repeat{limit=6}(fold,infer-shapes)"
UNARY = ("Relu", "Neg", "Abs", "Tanh", "Identity")
BINARY = ("Add", "Mul", "Sub")
unhurried = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@dataclass
class Writer:
    """Writes ONNX text in which every value is float[2, 3] but flags and counts.

    Attributes:
        count: names given so far.
        stacks: outputs that loops of the main graph stacked up.
    """

    count: int = 0
    stacks: list[str] = field(default_factory=list)

    def name(self) -> str:
        """A new name."""
        self.count += 1
        return f"v{self.count}"


def _lines(draw: st.DrawFn, writer: Writer, known: list[str], depth: int) -> tuple[list[str], list[str]]:
    """A few nodes over ``known`` values; the lines, and the values known after them."""
    lines: list[str] = []
    known = list(known)
    for _ in range(draw(st.integers(1, 4))):
        kinds = ["unary", "binary", "weight"] + (["if", "if", "loop", "loop"] if depth else [])
        kind = draw(st.sampled_from(kinds))
        made = writer.name()
        a, b = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        if kind == "unary":
            lines.append(f"{made} = {draw(st.sampled_from(UNARY))} ({a})")
        elif kind == "binary":
            lines.append(f"{made} = {draw(st.sampled_from(BINARY))} ({a}, {b})")
        elif kind == "weight":
            weight = writer.name()
            value = draw(st.sampled_from(["0.5, 1.5, -2.0", "1.0, 1.0, 1.0"]))
            lines += [
                f"{weight} = Constant <value = float[3] {{{value}}}> ()",
                f"{made} = Mul ({a}, {weight})",
            ]
        elif kind == "if":
            lines += _if(draw, writer, known, depth, made)
        else:
            lines += _loop(draw, writer, known, depth, made)
        known.append(made)
    return lines, known


def _if(draw: st.DrawFn, writer: Writer, known: list[str], depth: int, made: str) -> list[str]:
    condition = draw(st.sampled_from(["c", "yes", "no", "ranked", "sized"]))
    unused = writer.name() if draw(st.booleans()) else ""
    branches = []
    for which in ("then_branch", "else_branch"):
        lines, inner = _lines(draw, writer, known, depth - 1)
        result, other = writer.name(), writer.name()
        outputs = f"float[2,3] {result}" + (f", float[2,3] {other}" if unused else "")
        lines.append(f"{result} = Identity ({inner[-1]})")
        if unused:
            lines.append(f"{other} = Exp ({draw(st.sampled_from(inner))})")
        branches.append(f"{which} = g{result} () => ({outputs}) {{ {' '.join(lines)} }}")
    outputs = f"{made}, {unused}" if unused else made
    return [f"{outputs} = If ({condition}) <{', '.join(branches)}>"]


def _loop(draw: st.DrawFn, writer: Writer, known: list[str], depth: int, made: str) -> list[str]:
    rounds = draw(st.sampled_from(["n", "zero", "one", "three", "many"]))
    goes_on = draw(st.sampled_from(["", "yes", "no", "c"]))
    number, condition, state, after, result, scan = (writer.name() for _ in range(6))
    lines, inner = _lines(draw, writer, [*known, state], depth - 1)
    keeps = draw(st.sampled_from([f"{after} = Identity ({condition})", f"{after} = Identity (yes)"]))
    each = f"{scan} = Neg ({draw(st.sampled_from(inner))})"
    lines += [keeps, f"{result} = Tanh ({inner[-1]})", each]
    stacked = writer.name()
    if depth == 2 and rounds != "n" and goes_on != "c":
        writer.stacks.append(stacked)
    return [
        f"{made}, {stacked} = Loop ({rounds}, {goes_on}, {draw(st.sampled_from(known))}) <"
        f"body = b{made} (int64 {number}, bool {condition}, float[2,3] {state}) => "
        f"(bool {after}, float[2,3] {result}, float[2,3] {scan}) {{ {' '.join(lines)} }}>"
    ]


@st.composite
def graphs(draw: st.DrawFn) -> str:
    """A graph with branches and loops, some of them decided."""
    writer = Writer()
    lines, known = _lines(draw, writer, ["x", "z"], 2)
    shown = draw(st.lists(st.sampled_from([v for v in known if v not in "xz"]), min_size=1, max_size=2))
    stacks = draw(st.lists(st.sampled_from(writer.stacks), max_size=1)) if writer.stacks else []
    finals = [f"o{i} = Identity ({name})" for i, name in enumerate([*shown, *stacks])]
    outputs = [f"float[2,3] o{i}" for i in range(len(shown))]
    outputs += [f"float[K{i},2,3] o{len(shown) + i}" for i in range(len(stacks))]
    constants = [
        "zero = Constant <value_int = 0> ()",
        "one = Constant <value_int = 1> ()",
        "three = Constant <value_int = 3> ()",
        "many = Constant <value_int = 40> ()",
        "yes = Constant <value = bool {1}> ()",
        "no = Constant <value = bool {0}> ()",
        "dims = Shape (x)",
        "rank = Size (dims)",
        "ranked = Less (one, rank)",
        "count = Size (x)",
        "sized = Equal (count, one)",
    ]
    body = "\n".join([*constants, *lines, *finals])
    return f"{HEADER} g (float[2,3] x, float[2,3] z, bool c, int64 n) => ({', '.join(outputs)}) {{ {body} }}"


@unhurried
@given(text=graphs(), flag=st.booleans(), rounds=st.integers(0, 3), seed=st.integers(0, 99))
def test_folding_control_flow_changes_no_bit(text: str, flag: bool, rounds: int, seed: int) -> None:
    proto = onnx.parser.parse_model(text)
    onnx.checker.check_model(proto)
    rng = np.random.default_rng(seed)
    feeds = {
        "x": rng.standard_normal((2, 3)).astype(np.float32),
        "z": rng.standard_normal((2, 3)).astype(np.float32),
        "c": np.asarray(flag),
        "n": np.asarray(rounds, np.int64),
    }
    expected = run(ir.from_proto(proto), feeds)
    done = optimize_model(ir.from_proto(proto), pipeline(PIPELINE)).model
    check(done, Level.CANONICAL)
    assert [value.name for value in done.graph.outputs] == list(expected)
    actual = run(done, feeds)
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array)
    again = optimize_model(done, pipeline("fold,infer-shapes"))
    assert not any(effect.modified for effect in again.effects), again.remarks[-3:]
