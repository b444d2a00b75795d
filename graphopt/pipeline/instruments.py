"""The stock instruments: text dumps and verification around each pass. Times are in the effects."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from graphopt.errors import PassError
from graphopt.ir.fingerprint import fingerprint
from graphopt.ir.levels import Level
from graphopt.ir.text import print_model
from graphopt.ir.verify import verify
from graphopt.pipeline.pass_base import Pass
from graphopt.pipeline.records import Effect


class TextDump:
    """Prints the model before or after passes.

    Args:
        write: takes the text.
        before: names of the passes to print before; None for every pass.
        after: names of the passes to print after; None for every pass that changed something.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        before: frozenset[str] | None = frozenset(),
        after: frozenset[str] | None = frozenset(),
    ) -> None:
        self._write, self._before, self._after = write, before, after

    def before_pass(self, pass_: Pass, model: ir.Model) -> None:
        """Print when asked to."""
        if self._before is None or pass_.name() in self._before:
            self._write(f"// ----- before {pass_.text()} -----\n{print_model(model)}\n")

    def after_pass(self, pass_: Pass, model: ir.Model, effect: Effect) -> None:
        """Print when asked to."""
        if self._after is None and not effect.modified:
            self._write(f"// ----- after {pass_.text()}: unchanged -----\n")
        elif self._after is None or pass_.name() in self._after:
            self._write(f"// ----- after {pass_.text()} -----\n{print_model(model)}\n")


class VerifyEach:
    """Checks after each pass that the model is legal at the pass's level and ``modified`` is honest.

    A pass that is given a model below its level, such as the first of the canonical ones, is held
    to the imported level only: it cannot break what was not there.
    """

    def __init__(self) -> None:
        self._model: ir.Model | None = None
        self._fingerprint = ""
        self._legal = -1

    def before_pass(self, pass_: Pass, model: ir.Model) -> None:
        """Remember what the model looks like; what the pass before left is known already."""
        if model is not self._model:
            self._model, self._fingerprint, self._legal = model, "", -1
        if not self._fingerprint:
            self._fingerprint = fingerprint(model)
        if self._legal < pass_.level:
            self._legal = Level.IMPORTED if verify(model, pass_.level) else pass_.level

    def after_pass(self, pass_: Pass, model: ir.Model, effect: Effect) -> None:
        """Raise PassError naming the pass when it broke its contract."""
        if not effect.modified:
            if fingerprint(model) != self._fingerprint:
                raise PassError(
                    f"pass {pass_.name()} changed the model and said it did not", pass_name=pass_.name()
                )
            return
        self._fingerprint = ""
        violations = verify(model, min(Level(self._legal), pass_.level))
        if violations:
            raise PassError(
                f"pass {pass_.name()} left an invalid model: {violations[0].message}",
                f"--disable-pass {pass_.name()} goes around it",
                pass_name=pass_.name(),
            )
        self._legal = min(Level(self._legal), pass_.level)
