"""Reports to render: one of everything, one of nothing, and one with hostile names."""

from __future__ import annotations

import dataclasses
import random

import onnx
import onnx_ir as ir

from graphopt.pipeline.records import Effect, Remark, RemarkKind
from graphopt.report.graph_view import graph_view
from graphopt.report.record import Ablation, CompileReport, Dropped, Measurement, Source
from graphopt.report.summary import summarise

BEFORE = """<ir_version: 10, opset_import: ["" : 20]>
main (float[N,8] x) => (float[N,4] logits) <float[8,4] w = {WEIGHTS}, float[4] b = {1,2,3,4}> {
  [gone] i = Identity(x)
  [matmul] m = MatMul(i, w)
  [add] a = Add(m, b)
  [act] logits = Relu(a)
}""".replace("WEIGHTS", ", ".join(["0.5"] * 32))
AFTER = BEFORE.replace("  [gone] i = Identity(x)\n", "").replace("MatMul(i,", "MatMul(x,")

XSS = '</script><script>window.pwned=1</script><img src=x onerror="window.pwned=2">{{7*7}}'


def model(text: str) -> ir.Model:
    """A model from ONNX text with inferred shapes."""
    return ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)))


def full(name: str = "net") -> CompileReport:
    """A report in which every part is filled; ``name`` turns up wherever a model can put one."""
    before, after = model(BEFORE), model(AFTER)
    for m in (before, after):
        for node in m.graph:
            node.name = f"{name} {node.name}"
    rng = random.Random(0)
    ratio = {"median": 1.31, "low": 1.29, "high": 1.33, "noise": 0.014, "n": 40, "verdict": "faster"}
    loss = {**ratio, "low": 0.9, "median": 0.95, "high": 0.97, "verdict": "slower"}
    times = {"input": 2e-3, name: 1.5e-3}
    after_view = graph_view(after, {"N": 2}, {f"{name} act": name})
    return CompileReport(
        source=Source(f"models/{name}.onnx", "ab" * 32, 4, 144, 20),
        measurement=Measurement(
            "optimised",
            f"{name} is faster than the input",
            ratio,
            {"machine": "a machine", "threads": 2, "rounds": 40, "seconds": 10.0, "load_before": [0.5, 0.5]},
            {engine: tuple(rng.gauss(t, t / 50) for _ in range(200)) for engine, t in times.items()},
            (Ablation(name, ratio), Ablation("other", loss, kept=False)),
        ),
        target={"kind": "cpu", "isa": "avx512", "model_name": name},
        versions={"graphopt": "0.1.0", "onnx": "1"},
        options={"level": 2, "shapes": {name: [1, 2]}},
        before=summarise(before, {"N": 2}),
        after=summarise(after, {"N": 2}),
        effects=(
            Effect("eliminate-identity", True, 0.01, 4, 3, 144, 144, {"identity": 1}),
            Effect("dead-code", False, 0.001, 3, 3, 144, 144),
        ),
        remarks=(
            Remark("fuse-gelu", RemarkKind.MISSED, f"{name}/Erf", f"no divisor in {name}", "erf"),
            Remark("infer-shapes", RemarkKind.WARNING, "", f"a dim of {name} stays unknown"),
        ),
        dropped=(Dropped("break-things", f"output {name} changes"),),
        placement=(
            {"backend": "onnxruntime", "regions": 1, "nodes": 3, "flops": 1000, "reason": "",
             "fell_back": {f"no kernel for {name}": [name]}},
        ),
        engines=(
            {"region": 0, "module": name, "version": name, "architectures": [name], "notes": [name],
             "profiles": [{name: {"least": [1], "usual": [1], "most": [2]}}]},
        ),
        precision={"asked": "fp16", "kept": {name: f"{name} overflows"}, "largest": {name: 1e6}},
        equality={
            "verdict": "rounding", "mode": "default", "factor": 8, "ratio": 1.7, "jitters": 15, "weak": False,
            "sentence": f"rounding of {name}", "feeds": {name: {"x": "float32[2,8]"}},
            "not_checkable": [f"{name}_random"], "notes": [name],
            "outputs": [{"name": name, "verdict": "rounding", "max_abs": 1e-6, "rms": None, "ratio": 1.7,
                         "weak": [name], "reason": ""}],
        },
        memory={"compile peak": 400_000_000, name: 100},
        sizes={"model.onnx": 3000, name: 1},
        seconds={"load": 0.1, name: 2.0},
        shapes={name: (2, 8)},
        graphs={"before": graph_view(before, {"N": 2}), "after": after_view},
        next_command=f"graphopt bench {name}.gopt",
    )  # fmt: skip


def empty() -> CompileReport:
    """Nothing was checked, measured or recorded."""
    return CompileReport(Source("", "", 0, 0, 20), Measurement("input", "nothing to gain"))


def infinite() -> CompileReport:
    """A semantic verdict whose differences are not finite."""
    report = full()
    outputs = [{"name": "y", "verdict": "semantic", "max_abs": float("inf"), "ratio": float("nan")}]
    equality = {"verdict": "semantic", "ratio": None, "outputs": outputs}
    return dataclasses.replace(report, equality=equality)
