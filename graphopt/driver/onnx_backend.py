"""graphopt as an ``onnx.backend.base.Backend``: optimise at -O1, run on ONNX Runtime.

This is how the ONNX project's own suite, or any tool written against that interface, sees graphopt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from graphopt.driver.opt import Optimized, import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.pipeline.protocols import Runner

LEVEL = 1


class GraphoptRep(BackendRep):
    """A prepared model.

    Attributes:
        optimized: the model after the passes, with the account of what they did.
    """

    def __init__(self, optimized: Optimized, runner: Runner) -> None:
        self.optimized = optimized
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
        # Trailing inputs with a default may be left out.
        return dict(zip(self._runner.input_names, values, strict=False))


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
        """Optimise ``model`` at -O1 and open it in ONNX Runtime.

        Raises:
            ModelError, PassError, BackendError: see ``graphopt.errors``.
        """
        from graphopt.backends.onnxruntime.runner import make_runner

        del device, kwargs
        optimized = optimize_model(import_model(model), pipeline(level=LEVEL), evaluate=evaluator())
        return GraphoptRep(optimized, make_runner(optimized.model, threads=1))

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """``prepare`` and ``run`` in one step."""
        return cls.prepare(model, device, **kwargs).run(inputs)
