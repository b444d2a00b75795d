"""The report as one self-contained HTML page: no network, no external fonts, light and dark.

Everything in the record may come from an untrusted model. Text goes through the template's escaping, the
graphs through JSON without ``<``, ``>`` and ``&``, and the page's content security policy admits only the
one script it was written with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from graphopt.report import plots, words
from graphopt.report.blocks import fold
from graphopt.report.drawing import drawing, mark_changes
from graphopt.report.record import CompileReport
from graphopt.report.rows import (
    equality_rows,
    memory_rows,
    operator_rows,
    own_names,
    pass_rows,
    remark_groups,
)

if TYPE_CHECKING:
    import jinja2

Json = dict[str, Any]


def render(report: CompileReport) -> str:
    """The page as text; under 3 MB for graphs of 2,000 nodes, larger graphs are folded into blocks."""
    script = f'"use strict";\n(() => {{\n{_asset("pane.js")}\n{_asset("page.js")}}})();'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            r=report,
            m=report.measurement,
            words=words,
            title=PurePath(report.source.path).name or "model",
            operators=operator_rows(report),
            shared=any("share" in row for row in report.placement),
            own_names=own_names,
            passes=pass_rows(report),
            outputs=equality_rows(report),
            remarks=remark_groups(report),
            memory=memory_rows(report.memory),
            sizes=memory_rows(report.sizes),
            ratio_plot=plots.intervals(_ratios(report)),
            times_plot=plots.times(report.measurement.samples),
            ablation_plot=plots.intervals(
                [(row.pass_text, row.ratio) for row in report.measurement.ablation]
            ),
            graphs=_script_json(_graphs(report)),
            script=script,
            script_hash=f"sha256-{digest}",
            style=_asset("style.css"),
        )
    )


def _ratios(report: CompileReport) -> list[tuple[str, Json]]:
    ratio = report.measurement.ratio
    return [("optimised vs. input", ratio)] if ratio else []


def _graphs(report: CompileReport) -> Json:
    """The drawings of the graphs, with what changed between the two marked."""
    views = {side: view for side in ("before", "after") if (view := report.graphs.get(side))}
    if len(views) == 2:
        views = dict(zip(("before", "after"), mark_changes(views["before"], views["after"]), strict=True))
    return {side: drawing(fold(view)) for side, view in views.items()}


def _script_json(data: Json) -> str:
    """JSON that cannot leave the script element it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _asset(name: str) -> str:
    return resources.files("graphopt.report").joinpath("templates", name).read_text("utf-8")


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
