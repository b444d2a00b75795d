"""The ONNX project's operator suite on the native core alone."""

from __future__ import annotations

import unittest
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from graphopt.backends.base import Blob
from graphopt.backends.native.load import NativeExecutable
from graphopt.errors import GraphoptError
from tests.backends.native.whole import NotClaimed, built, opened, optimized


class NativeRep(BackendRep):
    """A model on the native core."""

    def __init__(self, executable: NativeExecutable) -> None:
        self._executable = executable

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        names = [info.name for info in self._executable.inputs]
        feeds = inputs if isinstance(inputs, Mapping) else dict(zip(names, inputs, strict=False))
        results = self._executable.run({name: feeds[name] for name in names})
        outputs: tuple[Any, ...] = namedtupledict("Outputs", list(results))(*results.values())
        return outputs


class NativeBackend(Backend):
    """Skips the cases of which the native core does not claim every node; -O2 in front."""

    isa: ClassVar[str] = ""
    claimed: ClassVar[int] = 0
    refused: ClassVar[Counter[str]] = Counter()
    prepared: ClassVar[dict[bytes, Blob | str]] = {}
    """The plan of each model, which serves every instruction set, or why there is none."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> NativeRep:
        key = model.SerializeToString()
        if key not in cls.prepared:
            cls.prepared[key] = _plan(model)
        found = cls.prepared[key]
        if isinstance(found, str):
            cls.refused[found] += 1
            raise unittest.SkipTest(found)
        cls.claimed += 1
        return NativeRep(opened(found, isa=cls.isa, threads=2))


def _plan(model: onnx.ModelProto) -> Blob | str:
    """The plan of a model, or why none is asked for; what is claimed and cannot be built raises."""
    try:
        found = optimized(model)
    except NotClaimed as error:
        return str(error)
    except GraphoptError as error:  # the passes take no such model
        return f"graphopt: {error}"
    return built(found)
