"""graphopt as an ``onnx.backend.base.Backend``: optimise at -O2, run on ONNX Runtime.

This is how the ONNX project's own suite, or any tool written against that interface, sees graphopt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from graphopt.driver.compilation.blame import first_bad
from graphopt.driver.legalize import for_onnxruntime
from graphopt.driver.opt import Optimized, import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.errors import BackendError
from graphopt.pipeline.manager import Step, flatten, keep_passes
from graphopt.pipeline.protocols import Runner

LEVEL = 2


class GraphoptRep(BackendRep):
    """A prepared model.

    Attributes:
        optimized: the model after the passes, with the account of what they did.
        dropped: passes left out because ONNX Runtime refuses the model after them.
    """

    def __init__(self, optimized: Optimized, runner: Runner, dropped: tuple[str, ...] = ()) -> None:
        self.optimized = optimized
        self.dropped = dropped
        self._runner = runner

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs, in the model's order and under its names.

        Args:
            inputs: one array, arrays in the model's order, or arrays by name.
            kwargs: none are known.

        Raises:
            FeedError, BackendError: the inputs do not fit, or the computation failed.
        """
        del kwargs
        results = self._runner.run(self._by_name(inputs))
        names = list(results)
        outputs: tuple[Any, ...] = namedtupledict("Outputs", names)(*results.values())
        return outputs

    def _by_name(self, inputs: Any) -> Mapping[str, npt.NDArray[np.generic]]:
        if isinstance(inputs, Mapping):
            return inputs
        values: Sequence[Any] = [inputs] if isinstance(inputs, np.ndarray) else inputs
        names = [value.name or "" for value in self.optimized.model.graph.inputs]
        # Trailing inputs with a default may be left out.
        return dict(zip(names, values, strict=False))


class GraphoptBackend(Backend):
    """Prepares models by optimising them."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Only the CPU."""
        return device == "CPU"

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether ``prepare`` should be tried: it says itself, with a reason, what it cannot take."""
        del model, kwargs
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> GraphoptRep:
        """Optimise ``model`` at -O2 and open it in ONNX Runtime.

        As in a compile, a pass after which the runtime refuses the model is left out.

        Raises:
            ModelError, PassError, BackendError: see ``graphopt.errors``.
        """
        del device, kwargs
        steps = pipeline(level=LEVEL, legalize=for_onnxruntime())
        dropped: list[str] = []
        while True:
            try:
                return _open(model, steps, tuple(dropped))
            except BackendError:
                guilty = _guilty(model, steps)
                if not guilty:
                    raise
            dropped.append(guilty)
            steps = _without(steps, guilty)

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """``prepare`` and ``run`` in one step."""
        return cls.prepare(model, device, **kwargs).run(inputs)


def _open(model: onnx.ModelProto, steps: tuple[Step, ...], dropped: tuple[str, ...] = ()) -> GraphoptRep:
    from graphopt.backends.onnxruntime.runner import make_runner

    optimized = optimize_model(import_model(model), steps, evaluate=evaluator())
    return GraphoptRep(optimized, make_runner(optimized.model, threads=1), dropped)


def _names(steps: tuple[Step, ...]) -> list[str]:
    return list(dict.fromkeys(step.name() for step in flatten(steps)))


def _without(steps: tuple[Step, ...], name: str) -> tuple[Step, ...]:
    return keep_passes(steps, frozenset(_names(steps)) - {name})


def _guilty(model: onnx.ModelProto, steps: tuple[Step, ...]) -> str:
    """The first pass after which the runtime refuses the model; empty when it does so without any."""
    names = _names(steps)

    def bad(count: int) -> bool:
        try:
            _open(model, keep_passes(steps, frozenset(names[:count])))
        except BackendError:
            return True
        return False

    count = first_bad(len(names), bad)
    return names[count - 1] if count else ""
