"""Run ONNX bytes with onnx.reference, the ONNX project's own definition of its operators. Light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt.backends.executable import Array, TensorInfo
from graphopt.backends.feed_check import explain_feeds
from graphopt.errors import BackendError, GraphoptError

FIX = "pip install onnx"


def import_onnx() -> Any:
    """The onnx module with onnx.reference; raises BackendError with the command that installs it."""
    try:
        import onnx
        import onnx.reference
    except ImportError as error:
        raise BackendError(f"onnx cannot be imported: {error}", FIX) from error
    return onnx


def read_signature(model: bytes) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Inputs and outputs of ONNX bytes; raises BackendError when they are none."""
    onnx = import_onnx()
    try:
        graph = onnx.load_model_from_string(model).graph
    except Exception as error:
        raise BackendError(f"onnx.reference refuses the model: {_one_line(error)}") from error
    defaults = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_info(onnx, value, value.name in defaults) for value in graph.input)
    return inputs, tuple(_info(onnx, value) for value in graph.output)


class ReferenceExecutable:
    """A model as onnx.reference evaluates it. ``run`` may be called from several threads at once."""

    def __init__(self, model: bytes, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> None:
        """``model`` holds its own weights; raises BackendError when an operator has no reference."""
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.input_names: list[str] = [info.name for info in self.inputs if not info.optional]
        self.output_names: list[str] = [info.name for info in self.outputs]
        evaluator = import_onnx().reference.ReferenceEvaluator
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


def _info(onnx: Any, value: Any, optional: bool = False) -> TensorInfo:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return TensorInfo(value.name, f"{kind}()", None, optional)
    tensor = value.type.tensor_type
    dtype = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None)
            for dim in tensor.shape.dim
        )
    return TensorInfo(
        value.name, {"float": "float32", "double": "float64"}.get(dtype, dtype), shape, optional
    )
