"""The record survives JSON, and says so when it does not."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.errors import ArtifactError
from graphopt.report.record import SCHEMA, CompileReport
from tests.analyses.graphs import unhurried
from tests.report.sample import empty, full, infinite


@pytest.mark.parametrize("make", [full, empty])
def test_round_trip(make: object) -> None:
    report = make()  # type: ignore[operator]
    again = CompileReport.from_json(json.loads(report.to_text()))
    assert again.to_json() == json.loads(report.to_text())
    assert again.effects == report.effects
    assert again.remarks == report.remarks
    assert again.measurement.samples == report.measurement.samples


def test_infinities_become_null() -> None:
    outputs = json.loads(infinite().to_text(), parse_constant=pytest.fail)["equality"]["outputs"]
    assert (outputs[0]["max_abs"], outputs[0]["ratio"]) == (None, None)


def test_unknown_fields_are_ignored() -> None:
    data = full().to_json()
    data["brand_new"] = data["source"]["brand_new"] = data["effects"][0]["brand_new"] = 1
    assert CompileReport.from_json(data) == CompileReport.from_json(full().to_json())


def test_a_later_schema_is_refused_with_the_next_step() -> None:
    with pytest.raises(ArtifactError, match="upgrade graphopt"):
        CompileReport.from_json({**full().to_json(), "schema": SCHEMA + 1})


FULL = full().to_json()
leaves = st.none() | st.integers() | st.text()


@unhurried
@given(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_foreign_json_is_refused(data: object) -> None:
    with pytest.raises(ArtifactError):
        CompileReport.from_json(data)  # type: ignore[arg-type]


@unhurried
@given(st.sampled_from(sorted(FULL)), leaves | st.lists(st.integers()))
def test_damaged_fields_are_refused_or_harmless(key: str, value: object) -> None:
    with contextlib.suppress(ArtifactError):
        CompileReport.from_json({**FULL, key: value})
