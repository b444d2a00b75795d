"""The ONNX project's operator suite, run case by case through a backend."""

from __future__ import annotations

import os
import tempfile
import unittest
from collections import Counter
from functools import cache
from typing import Any, ClassVar
from unittest import mock

import onnx
import onnxruntime as ort
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test.runner import Runner

from graphopt.driver.onnx_backend import GraphoptBackend, GraphoptRep
from graphopt.passes.canonical import CANONICAL_PASSES

SHARDS = 4
_CANONICAL = {cls.name() for cls in CANONICAL_PASSES}


class OrtRep(BackendRep):
    """A session as anybody opens one."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        names = [value.name for value in self._session.get_inputs()]
        return tuple(self._session.run(None, dict(zip(names, inputs, strict=False))))


class OrtBackend(Backend):
    """ONNX Runtime alone."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> OrtRep:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        data = model.SerializeToString()
        return OrtRep(ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]))


class CountingBackend(GraphoptBackend):
    """graphopt, counting what its passes did."""

    counts: ClassVar[Counter[str]] = Counter()
    changed: ClassVar[Counter[str]] = Counter()
    dropped: ClassVar[dict[str, tuple[str, ...]]] = {}

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> GraphoptRep:
        rep = super().prepare(model, device, **kwargs)
        cls.counts["graphs"] += 1
        modified = {effect.pass_text for effect in rep.optimized.effects if effect.modified}
        cls.changed.update(modified)
        cls.counts["changed"] += bool(modified)
        cls.counts["beyond"] += not modified <= _CANONICAL
        if rep.dropped:
            cls.dropped[model.graph.name] = rep.dropped
        return rep


class Outcomes(unittest.TestResult):
    """Which cases passed, and why the others did not."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: set[str] = set()
        self.reasons: dict[str, str] = {}

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        self.passed.add(_name(test))

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self.reasons[_name(test)] = f"{err[0].__name__}: {' '.join(str(err[1]).split())[:300]}"

    addFailure = addError  # noqa: N815


def _name(test: unittest.TestCase) -> str:
    return test.id().rpartition(".")[2]


@cache
def cases(backend: type[Backend]) -> list[unittest.TestCase]:
    """Every CPU case, in a fixed order. Generating them computes the expected outputs."""
    found: list[unittest.TestCase] = []
    for case in Runner(backend).test_cases.values():
        loaded = unittest.defaultTestLoader.loadTestsFromTestCase(case)
        found += [t for t in loaded if isinstance(t, unittest.TestCase) and _name(t).endswith("_cpu")]
    return sorted(found, key=_name)


def run_shard(backend: type[Backend], shard: int) -> Outcomes:
    """Run every ``SHARDS``-th case from number ``shard`` on."""
    outcomes = Outcomes()
    with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, ONNX_HOME=home):
        os.environ.pop("ONNX_MODELS", None)
        unittest.TestSuite(cases(backend)[shard::SHARDS]).run(outcomes)
    return outcomes
