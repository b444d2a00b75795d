"""Engines, shares and precision of a compile for a GPU, in the terminal, as JSON and on the page."""

from __future__ import annotations

from dataclasses import replace

from graphopt.report.html import render as page
from graphopt.report.record import CompileReport
from tests.report.sample import full
from tests.report.test_terminal import printed


def for_gpu() -> CompileReport:
    """A report of two engines around a region elsewhere."""
    engine = {
        "backend": "tensorrt",
        "nodes": 12,
        "layers": 40,
        "bytes": 3_200_000,
        "scratch_bytes": 1_000_000,
        "architectures": ["sm_86", "sm_89"],
        "module": "tensorrt_rtx",
        "version": "1.7.1.116",
        "profiles": [{"x": {"least": [1, 8], "usual": [2, 8], "most": [4, 8]}}],
        "notes": ["int64 values are clamped"],
    }
    return replace(
        full(),
        placement=(
            {"backend": "tensorrt", "regions": 2, "nodes": 24, "flops": 975, "share": 0.975, "fell_back": {}},
            {
                "backend": "onnxruntime",
                "regions": 1,
                "nodes": 1,
                "flops": 25,
                "share": 0.025,
                "fell_back": {"tensorrt: no importer for NonZero": ["fused.NonZero"]},
                "sources": {"fused.NonZero": ["/head/NonZero", "/head/<Cast>"]},
            },
        ),
        engines=({"region": 0, **engine}, {"region": 2, **engine}),
        precision={
            "asked": "fp16",
            "converted": 23,
            "kept": {"/norm/<Div>": "it reaches 1e6"},
            "largest": {"/norm": 1e6},
        },
    )


def test_a_person_sees_shares_engines_and_what_stays_in_float32() -> None:
    text = printed(for_gpu(), width=160)
    for fact in (
        "97.5 %",
        "2.5 %",
        "/head/NonZero, /head/<Cast> fell back: tensorrt: no importer for NonZero",
        "region 2",
        "sm_86, sm_89",
        "tensorrt_rtx 1.7.1.116",
        "in fp16: 23 nodes; 1 stays in fp32:",
        "/norm/<Div>: it reaches 1e6",
    ):
        assert fact in text, text
    assert text.count("int64 values are clamped") == 1


def test_the_page_and_the_json_say_the_same() -> None:
    report = for_gpu()
    text = page(report)
    for fact in ("97.5 %", "/head/&lt;Cast&gt;", "tensorrt_rtx", "/norm/&lt;Div&gt;", "it reaches 1e6"):
        assert fact in text
    assert CompileReport.from_json(report.to_json()) == report


def test_a_report_of_a_cpu_has_no_shares_and_no_engines() -> None:
    cpu = replace(full(), engines=(), precision=None)
    for text in (printed(cpu), page(cpu)):
        assert "Engines" not in text
        assert "share" not in text.lower().replace("shared", "")
