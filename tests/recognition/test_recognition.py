"""Every form is recognised however it is written, and computes the same afterwards."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir
import pytest

from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator, oracle_runner
from graphopt.equality.arrays import Array
from graphopt.equality.oracle import Oracle
from graphopt.errors import GraphoptError
from graphopt.ir.levels import Level
from graphopt.ir.verify import verify
from tests.recognition.document import HERE, Document, count_operators, documents
from tests.recognition.forms import FORMS
from tests.recognition.variants import Variant, variants

DOCUMENTS = documents()
VALUE_SETS = 2


def _id(document: Document) -> str:
    return f"{document.form}-{document.exporter}:{document.line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_id)
def test_the_form_is_recognised_in_every_variant(document: Document) -> None:
    model = document.model()
    oracles = {"base": Oracle.prepare(import_model(model), oracle_runner, value_sets=VALUE_SETS)}
    feeds = [feed.values for feed in oracles["base"].feeds]
    failures = []
    for variant in variants(model, feeds, document.scales, document.dynamic):
        if variant.name in document.skipped:
            continue
        problem = _problem(document, variant, oracles)
        failures += [f"{variant.name}: {problem}"] if problem else []
    assert not failures, f"{_id(document)} of {document.path.name}\n" + "\n".join(failures)


def _problem(document: Document, variant: Variant, oracles: dict[str, Oracle]) -> str:
    """What is wrong with what became of ``variant``; empty when nothing is."""
    if variant.base not in oracles:
        oracle = _oracle(variant, oracles["base"])
        if isinstance(oracle, str):
            # What ONNX Runtime does not run as it stands is no spelling of anybody.
            return "" if variant.name.startswith("float16") else oracle
        oracles[variant.base] = oracle
    steps = pipeline(document.pipeline or None)
    done = optimize_model(import_model(variant.model), steps, evaluate=evaluator()).model
    found = count_operators(done)
    wrong = [f"{found[op]} {op}, not {n}" for op, n in document.expected.items() if found[op] != n]
    if wrong:
        return f"{', '.join(wrong)}; there are {dict(found)}"
    broken = verify(done, Level.CANONICAL)
    if broken:
        return f"{broken[0].rule}: {broken[0].message}"
    report = oracles[variant.base].judge(oracle_runner(done))
    return "" if report.equal else report.sentence()


def _oracle(variant: Variant, base: Oracle) -> Oracle | str:
    """The oracle of a variant that computes something else than the base: in float16, or of fixed dims."""
    imported = import_model(variant.model)
    feeds = [
        cast
        for feed in base.feeds
        if _fits(
            cast := {v.name: _cast(feed.values[v.name], v) for v in imported.graph.inputs if v.name}, imported
        )
    ]
    try:
        return Oracle.prepare(imported, oracle_runner, inputs=feeds)
    except GraphoptError as error:
        return f"the original cannot be run: {error.message}"


def _cast(array: Array, value: ir.Value) -> Array:
    return array if value.dtype is None else array.astype(value.dtype.numpy())


def _fits(feeds: Mapping[str, Array], model: ir.Model) -> bool:
    return all(
        value.shape is None
        or all(
            d == n
            for d, n in zip(value.shape, feeds[value.name or ""].shape, strict=True)
            if isinstance(d, int)
        )
        for value in model.graph.inputs
    )


@pytest.mark.parametrize("form", FORMS)
def test_three_exporters_or_spellings_of_each_form_are_written_down(form: str) -> None:
    path = HERE / f"{form}.onnxtxt"
    assert path.exists(), f"write {path.relative_to(HERE.parent.parent)}"
    spellings = {(d.exporter, d.spelling) for d in DOCUMENTS if d.form == form and d.is_positive}
    assert len(spellings) >= 3, f"{path.name} shows only {sorted(spellings)}"


def test_every_file_is_about_a_known_form() -> None:
    assert {document.form for document in DOCUMENTS} <= set(FORMS), "list the form in forms.py"
