"""Run ONNX bytes with onnx.reference, the ONNX project's own definition of its operators. Light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt.backends.executable import Array, TensorInfo
from graphopt.backends.feed_check import explain_feeds
from graphopt.errors import BackendError, GraphoptError

FIX = "pip install onnx"


def import_reference() -> Any:
    """The onnx.reference module; raises BackendError with the command that installs it."""
    try:
        import onnx.reference
    except ImportError as error:
        raise BackendError(f"onnx cannot be imported: {error}", FIX) from error
    return onnx.reference


class ReferenceExecutable:
    """A model as onnx.reference evaluates it. ``run`` may be called from several threads at once."""

    def __init__(self, model: bytes, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> None:
        """``model`` holds its own weights; raises BackendError when an operator has no reference."""
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.input_names: list[str] = [info.name for info in self.inputs if not info.optional]
        self.output_names: list[str] = [info.name for info in self.outputs]
        evaluator = import_reference().ReferenceEvaluator
        try:
            self._evaluator = evaluator(model)
        except MemoryError:
            raise
        except Exception as error:
            raise BackendError(f"onnx.reference refuses the model: {_one_line(error)}") from error

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output; raises FeedError or BackendError in one line."""
        if problem := explain_feeds(self.inputs, feeds):
            raise problem
        try:
            # Overflow and division by zero are answers here, not events worth a warning.
            with np.errstate(all="ignore"):
                outputs = self._evaluator.run(self.output_names, dict(feeds))
        except MemoryError:
            raise
        except Exception as error:
            raise self._failure(error, feeds) from error
        return dict(zip(self.output_names, outputs, strict=True))

    def _failure(self, error: Exception, feeds: Mapping[str, Array]) -> GraphoptError:
        problem = explain_feeds(self.inputs, feeds, symbols=True)
        return problem or BackendError(f"onnx.reference failed: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
