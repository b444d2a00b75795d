"""Runs every document, and checks that every pass has cases in which it fires and in which it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphopt.driver.known_passes import known_passes
from tests.text.document import Case, CheckFailure, Directive, Outcome, execute, read, verify

HERE = Path(__file__).parent
DOCUMENTS = sorted(HERE.glob("*/*.onnxtxt"))
CASES = [case for path in DOCUMENTS for case in read(path)]
SHIPPED = [name for name, cls in sorted(known_passes().items()) if cls.__module__.startswith("graphopt.")]


def _id(case: Case) -> str:
    return f"{case.path.parent.name}/{case.path.stem}:{case.line}"


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_document(case: Case) -> None:
    verify(case, execute(case))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_document_is_about_the_pass_it_is_named_after(path: Path) -> None:
    family, name = path.parent.name, path.stem.replace("_", "-")
    owners = [known for known in known_passes() if name == known or name.startswith(f"{known}-")]
    assert owners, f"{path.name} is named after no pass of {family}"
    assert any(owner in case.command for owner in owners for case in read(path))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_pass_is_seen_to_fire_and_to_refuse(name: str) -> None:
    stem = name.replace("-", "_")
    family = known_passes()[name].__module__.split(".")[2]
    cases = [case for path in (HERE / family).glob(f"{stem}*.onnxtxt") for case in read(path)]
    assert cases, f"write tests/text/{family}/{stem}.onnxtxt"
    refusing = [case for case in cases if any(c.kind == "CHECK-UNCHANGED" for c in case.checks)]
    assert refusing, f"tests/text/{family}/{stem}.onnxtxt shows no case with CHECK-UNCHANGED"
    fires = any(name in execute(case).changed_by for case in cases if case not in refusing)
    assert fires, f"tests/text/{family}/{stem}.onnxtxt never shows the pass firing"


RESULT = "one  fine\n  two\nthree\nfour\n"


def _outcome() -> Outcome:
    return Outcome(before="other\n", after=RESULT, modified=True, remarks=("missed: p: n: too wide",))


def _case(*checks: tuple[str, str]) -> Case:
    return Case(Path("d.onnxtxt"), 1, "", "p", "", tuple(Directive(kind, text, 1) for kind, text in checks))


@pytest.mark.parametrize(
    "checks",
    [
        [("CHECK", "one"), ("CHECK-NEXT", "two"), ("CHECK", "four")],
        [("CHECK", "one"), ("CHECK-NOT", "four"), ("CHECK", "three"), ("CHECK", "four")],
        [("CHECK", "o{{.}}e"), ("CHECK-SAME", "one   fine")],
        [("CHECK-COUNT-3", "o"), ("CHECK-COUNT-0", "five")],
        [("CHECK-REMARK", "too wide")],
        [("CHECK", "four"), ("CHECK-NOT", "one")],
    ],
)
def test_expectations_that_hold(checks: list[tuple[str, str]]) -> None:
    verify(_case(*checks), _outcome())


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ([("CHECK", "five")], "is not there"),
        ([("CHECK", "two"), ("CHECK", "one")], "is not there"),
        ([("CHECK", "one"), ("CHECK-NEXT", "three")], "not on the next"),
        ([("CHECK-NOT", "two"), ("CHECK", "three")], "is there: two"),
        ([("CHECK", "three"), ("CHECK-NOT", "four")], "is there: four"),
        ([("CHECK-COUNT-2", "o")], "is there 3 times"),
        ([("CHECK", "two"), ("CHECK-SAME", "fine")], "not on the line"),
        ([("CHECK-UNCHANGED", "")], "does not hold"),
        ([("CHECK-REMARK", "too long")], "is no remark"),
        ([("CHECK-ERROR", "broken")], "is not the error"),
        ([("CHECK-PERHAPS", "one")], "no known directive"),
    ],
)
def test_expectations_that_do_not_hold(checks: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(CheckFailure) as caught:
        verify(_case(*checks), _outcome())
    assert message in str(caught.value)
