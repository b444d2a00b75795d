"""Tests that are documents: a command line, a model in ONNX text, and what the result must look like.

A ``.onnxtxt`` file holds one or more cases, separated by a line ``// -----``::

    // SETUP: infer-shapes
    // RUN: eliminate-identity
    g (float[N] x) => (float[N] y) {
      i = Identity (x)
      y = Relu (i)
    }
    // CHECK: graph g
    // CHECK-NEXT: %y: float32[N] = Relu(%x)
    // CHECK-NOT: Identity

RUN is a pipeline string, SETUP one whose result counts as what came in; where a case has none, that of the
case before holds. Lines that start with ``//`` are directives or remarks to the reader, all others are the
model (ONNX text, opset 23 unless it says otherwise). The result is ``graphopt.ir.text.print_model``.

========================  ========================================================================
CHECK: text               some line after the last match holds ``text``
CHECK-NEXT: text          the line right after the last match holds ``text``
CHECK-SAME: text          the line of the last match holds ``text`` too
CHECK-NOT: text           no line between the last match and the next one (or the end) holds ``text``
CHECK-COUNT-n: text       exactly n lines of the whole result hold ``text``
CHECK-UNCHANGED           the result is what came in, and every pass of the command says so
CHECK-REMARK: text        some remark holds ``text``
CHECK-ERROR: text         the command fails with an error that holds ``text``
========================  ========================================================================

Runs of blanks count as one; ``{{…}}`` is a regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx.parser
import onnx_ir as ir

from graphopt.driver.opt import optimize_model, pipeline
from graphopt.errors import GraphoptError
from graphopt.ir.text import print_model

DEFAULT_HEADER = '<ir_version: 10, opset_import: ["": 23]>'
_DIRECTIVE = re.compile(r"//\s*(?P<kind>RUN|SETUP|CHECK(?:-[A-Z]+)?(?:-\d+)?)(?::\s*(?P<text>.*?))?\s*$")
_SEPARATOR = "// -----"


@dataclass(frozen=True)
class Directive:
    """One line of expectation.

    Attributes:
        kind: CHECK, CHECK-NEXT, ….
        text: what must, or must not, be there.
        line: where it stands in the file.
    """

    kind: str
    text: str
    line: int


@dataclass(frozen=True)
class Case:
    """One command, one model, its expectations.

    Attributes:
        path: the document.
        line: where the case begins.
        setup: pipeline string run beforehand, or empty.
        command: pipeline string under test.
        model: ONNX text.
        checks: in the order written.
    """

    path: Path
    line: int
    setup: str
    command: str
    model: str
    checks: tuple[Directive, ...]


@dataclass(frozen=True)
class Outcome:
    """What a command made of a model.

    Attributes:
        before: the model as it came in.
        after: the result.
        modified: whether any pass says that it changed something.
        remarks: what the passes said.
        error: why the command failed, or empty.
        changed_by: names of the passes that changed something.
    """

    before: str
    after: str
    modified: bool
    remarks: tuple[str, ...]
    error: str = ""
    changed_by: frozenset[str] = frozenset()


class CheckFailure(AssertionError):
    """An expectation that does not hold, with the line it stands on and what is there instead."""


def read(path: Path) -> list[Case]:
    """The cases of a document."""
    cases: list[Case] = []
    setup, command, lines, first = "", "", [], 1
    for number, line in enumerate([*path.read_text().splitlines(), _SEPARATOR], start=1):
        if line.strip() != _SEPARATOR:
            lines.append(line)
            continue
        cases.append(_case(path, lines, first, setup, command))
        setup, command, lines, first = cases[-1].setup, cases[-1].command, [], number + 1
    return cases


def _case(path: Path, lines: list[str], first: int, setup: str, command: str) -> Case:
    model, checks = [], []
    for offset, line in enumerate(lines):
        found = _DIRECTIVE.match(line.strip())
        if found is None:
            model.append("" if line.lstrip().startswith("//") else line)
        elif found["kind"] == "RUN":
            command = found["text"] or ""
        elif found["kind"] == "SETUP":
            setup = found["text"] or ""
        else:
            checks.append(Directive(found["kind"], found["text"] or "", first + offset))
    assert command, f"{path.name}:{first}: a case needs a RUN line"
    assert checks, f"{path.name}:{first}: a case needs a CHECK line"
    return Case(path, first, setup, command, "\n".join(model).strip(), tuple(checks))


def load(text: str) -> ir.Model:
    """A model in ONNX text, with the default header where it has none."""
    return ir.from_proto(
        onnx.parser.parse_model(text if text.startswith("<") else f"{DEFAULT_HEADER}\n{text}")
    )


def execute(case: Case) -> Outcome:
    """Run the command of a case over its model."""
    model = load(case.model)
    if case.setup:
        model = optimize_model(model, pipeline(case.setup)).model
    before = print_model(model)
    try:
        done = optimize_model(model, pipeline(case.command))
    except GraphoptError as error:
        return Outcome(before, print_model(model), True, (), str(error))
    remarks = tuple(f"{r.kind}: {r.pass_name}: {r.node}: {r.reason}" for r in done.remarks)
    changed_by = frozenset(e.pass_text.partition("{")[0] for e in done.effects if e.modified)
    return Outcome(before, print_model(done.model), bool(changed_by), remarks, changed_by=changed_by)


def verify(case: Case, outcome: Outcome) -> None:
    """Hold the outcome against the expectations.

    Raises:
        CheckFailure: the first that does not hold.
    """
    if outcome.error and not any(check.kind == "CHECK-ERROR" for check in case.checks):
        raise CheckFailure(f"{case.path.name}:{case.line}: the command failed: {outcome.error}")
    _Checker(case, outcome).run()


class _Checker:
    """Walks the expectations down the result."""

    def __init__(self, case: Case, outcome: Outcome) -> None:
        self.case = case
        self.outcome = outcome
        self.lines = outcome.after.splitlines()
        self.at = -1
        self.pending: list[Directive] = []

    def run(self) -> None:
        for check in self.case.checks:
            if check.kind == "CHECK-NOT":
                self.pending.append(check)
            elif check.kind in ("CHECK", "CHECK-NEXT"):
                self._advance(check)
            else:
                self._standalone(check)
        self._absent(len(self.lines))

    def _advance(self, check: Directive) -> None:
        found = next(self._matches(check, self.at + 1), None)
        if found is None:
            raise self._failure(check, "is not there")
        if check.kind == "CHECK-NEXT" and found != self.at + 1:
            raise self._failure(check, f"is {found - self.at} lines further down, not on the next")
        self._absent(found)
        self.at = found

    def _absent(self, end: int) -> None:
        for check in self.pending:
            found = next(self._matches(check, self.at + 1), None)
            if found is not None and found < end:
                raise self._failure(check, f"is there: {self.lines[found].strip()}")
        self.pending.clear()

    def _standalone(self, check: Directive) -> None:
        if check.kind == "CHECK-SAME":
            if self.at not in self._matches(check, max(self.at, 0)):
                raise self._failure(check, "is not on the line of the last match")
        elif check.kind.startswith("CHECK-COUNT-"):
            wanted, found = int(check.kind.rpartition("-")[2]), len(list(self._matches(check, 0)))
            if wanted != found:
                raise self._failure(check, f"is there {found} times")
        elif check.kind == "CHECK-UNCHANGED":
            if self.outcome.modified or self.outcome.before != self.outcome.after:
                raise self._failure(check, "does not hold")
        elif check.kind == "CHECK-REMARK":
            if not any(_pattern(check.text).search(_squeeze(remark)) for remark in self.outcome.remarks):
                raise self._failure(check, "is no remark; there are\n  " + "\n  ".join(self.outcome.remarks))
        elif check.kind == "CHECK-ERROR":
            if not _pattern(check.text).search(self.outcome.error):
                raise self._failure(check, f"is not the error, which is {self.outcome.error!r}")
        else:
            raise self._failure(check, "is no known directive")

    def _matches(self, check: Directive, start: int) -> Iterator[int]:
        pattern = _pattern(check.text)
        return (i for i in range(start, len(self.lines)) if pattern.search(_squeeze(self.lines[i])))

    def _failure(self, check: Directive, what: str) -> CheckFailure:
        where = f"{self.case.path.name}:{check.line}"
        return CheckFailure(f"{where}: {check.kind}: {check.text!r} {what}\n\n{self.outcome.after}")


def _squeeze(line: str) -> str:
    return re.sub(r"\s+", " ", line.strip())


def _pattern(text: str) -> re.Pattern[str]:
    """Literal text in which ``{{…}}`` is a regular expression."""
    parts = re.split(r"\{\{(.*?)\}\}", _squeeze(text))
    return re.compile("".join(part if index % 2 else re.escape(part) for index, part in enumerate(parts)))
