"""What a backend refuses after having claimed it goes to the next one, with reason and name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

import graphopt
from graphopt.backends.base import Unavailable
from graphopt.driver.compile import CompileResult
from graphopt.errors import BackendError
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from tests.driver.fake_engine import FakeEngine, install, refuse

Compile = Callable[..., CompileResult]

CHAIN = """
<ir_version: 10, opset_import: ["": 23]>
g (float[2,16] x, float[16,16] w) => (float[2,16] y) {
  [first] a = MatMul (x, w)
  [bend] b = Sin (a)
  [second] c = MatMul (b, w)
  [turn] d = Cos (c)
  [third] y = MatMul (d, w)
}
"""
WIDE = """
<ir_version: 10, opset_import: ["": 23]>
g (float[1,16] x, float[16,16] w) => (float[1,16] y) {
  [one] a = Sin (x)
  [two] b = Sin (a)
  [three] c = Neg (b)
  [four] d = Sin (c)
  [five] e = MatMul (d, w)
  [six] f = MatMul (e, w)
  [seven] g = MatMul (f, w)
  [eight] y = MatMul (g, w)
}
"""


@pytest.fixture
def compile_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Compile:
    """Compile ONNX text for a GPU that is not here with a pretended backend."""

    def run(engine: FakeEngine, text: str, **options: object) -> CompileResult:
        install(engine, monkeypatch)
        defaults: dict[str, object] = {"target": "cuda:sm_86", "level": 1}
        return graphopt.compile(
            onnx.parser.parse_model(text), output=tmp_path / "m.gopt", **defaults | options
        )

    return run


def rows(done: CompileResult) -> dict[str, dict[str, object]]:
    """Placement rows by backend."""
    return {str(row["backend"]): row for row in done.report.placement}


def test_a_refused_node_goes_to_the_next_backend_with_the_reason(compile_with: Compile) -> None:
    done = compile_with(FakeEngine(refuse("Sin", "Cos", most=1)), CHAIN)
    taken = rows(done)
    assert taken["engine"]["nodes"] == 3
    assert taken["onnxruntime"]["fell_back"] == {
        "engine: no importer for Sin": ["bend"],
        "engine: no importer for Cos": ["turn"],
    }
    assert done.report.equality is not None
    assert done.report.equality["equal"]
    assert not done.report.dropped


def test_what_was_built_is_not_built_again(compile_with: Compile) -> None:
    engine = FakeEngine(refuse("Sin", "Cos", most=1))
    compile_with(engine, CHAIN)
    assert engine.asked == [
        ["MatMul", "Sin", "MatMul", "Cos", "MatMul"],
        ["MatMul"],
        ["MatMul", "Cos", "MatMul"],
        ["MatMul"],
        ["MatMul"],
    ]


def test_the_share_of_flops_in_engines_is_told(compile_with: Compile) -> None:
    done = compile_with(FakeEngine(refuse("Sin")), CHAIN)
    shares = {name: row["share"] for name, row in rows(done).items()}
    assert shares["engine"] == pytest.approx(1 - 32 / (3 * 2 * 2 * 16 * 16 + 64), rel=0.05)  # type: ignore[comparison-overlap]
    assert sum(float(str(s)) for s in shares.values()) == pytest.approx(1)
    (first, *_) = done.report.engines
    assert first["architectures"] == ["sm_86"]


def test_an_island_of_cheap_nodes_moves_to_its_neighbours(compile_with: Compile) -> None:
    done = compile_with(FakeEngine(refuse("Sin")), WIDE)
    taken = rows(done)
    assert taken["engine"]["nodes"] == 4, "the products stay"
    fell = taken["onnxruntime"]["fell_back"]
    assert isinstance(fell, dict)
    (island,) = [reason for reason, nodes in fell.items() if nodes == ["three"]]
    assert "an island of 1 cheap node between other regions" in island


def test_a_region_refused_as_a_whole_ends_on_the_next_backend(compile_with: Compile) -> None:
    done = compile_with(FakeEngine(lambda region: "out of ideas"), CHAIN)
    assert list(rows(done)) == ["onnxruntime"]
    assert set(rows(done)["onnxruntime"]["fell_back"]) == {"engine: out of ideas"}  # type: ignore[call-overload]


def test_a_name_that_means_nothing_does_not_loop(compile_with: Compile) -> None:
    done = compile_with(FakeEngine(lambda region: {"": "something is wrong"}), CHAIN)
    assert set(rows(done)["onnxruntime"]["fell_back"]) == {"engine: something is wrong"}  # type: ignore[call-overload]


def test_one_refusal_at_a_time_ends_soon(compile_with: Compile) -> None:
    lines = "\n".join(f"  [n{i}] v{i + 1} = {'Sin' if i % 2 else 'Relu'} (v{i})" for i in range(60))
    head = '<ir_version: 10, opset_import: ["": 23]>\n'
    engine = FakeEngine(refuse("Sin", most=1))
    done = compile_with(
        engine, f"{head}g (float[4] v0) => (float[4] v60) {{\n{lines}\n}}", passes="name-values"
    )
    assert len(engine.asked) < 60
    assert rows(done)["engine"]["nodes"] == 30


def test_a_model_without_nodes_is_no_engine(compile_with: Compile) -> None:
    text = '<ir_version: 10, opset_import: ["": 23]>\ng (float[4] x) => (float[4] x) { }'
    done = compile_with(FakeEngine(lambda region: None if len(region.graph) else "nothing to build"), text)
    assert done.report.equality is not None
    assert done.report.equality["equal"]


def test_strict_names_the_node_and_the_reason(compile_with: Compile) -> None:
    with pytest.raises(
        BackendError, match=r"node 'bend' \(Sin\) would fall back: engine: no importer for Sin"
    ):
        compile_with(FakeEngine(refuse("Sin")), CHAIN, strict=True)


def test_without_the_backend_for_engines_nothing_is_compiled(compile_with: Compile) -> None:
    missing = FakeEngine(answer=Unavailable("it is not installed", "pip install it"))
    with pytest.raises(BackendError, match="nothing can build engines for cuda here: it is not installed"):
        compile_with(missing, CHAIN)


def test_a_cpu_target_asks_it_nothing(compile_with: Compile) -> None:
    engine = FakeEngine(answer=Unavailable("must not be asked", ""))
    done = compile_with(engine, CHAIN, target="cpu", measure=False)
    assert not engine.asked
    assert "share" not in rows(done)["onnxruntime"]


@dataclass(frozen=True)
class SpellSinByHand(Pass):
    """Before: ``Sin``. After: ``Cos(x - pi/2)``, nodes without a name or a note."""

    backend = "engine"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        for node in [n for n in model.graph if n.op_type == "Sin"]:
            shift = ir.Value(name="shift", const_value=ir.tensor(np.float32(np.pi / 2), name="shift"))
            model.graph.initializers.setdefault("shift", shift)
            moved = ir.node(
                "Sub", [node.inputs[0], model.graph.initializers["shift"]], name=f"{node.name}/sub"
            )
            cos = ir.node("Cos", [moved.outputs[0]], name=f"{node.name}/cos")
            moved.outputs[0].name = f"{node.name}/moved"
            moved.outputs[0].type = node.outputs[0].type
            out = node.outputs[0]
            cos.outputs[0].type, name = out.type, out.name
            model.graph.insert_before(node, [moved, cos])
            out.name = f"{name}_old"
            cos.outputs[0].name = name
            out.replace_all_uses_with(cos.outputs[0], replace_graph_outputs=True)
            model.graph.remove(node, safe=True)
        return True


def test_a_node_a_legalisation_made_is_traced_back(compile_with: Compile) -> None:
    done = compile_with(FakeEngine(refuse("Sub"), passes=(SpellSinByHand(),)), CHAIN)
    assert rows(done)["onnxruntime"]["fell_back"] == {"engine: no importer for Sub": ["bend"]}
