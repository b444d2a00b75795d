"""Open and run a reference region of an artifact. Imports onnx, the runtime of this backend, only here."""

from __future__ import annotations

from typing import Any

from graphopt.backends.executable import RegionBlob, TensorInfo
from graphopt.backends.reference.session import ReferenceExecutable, import_reference
from graphopt.errors import BackendError


def load(blob: RegionBlob) -> ReferenceExecutable:
    """Open a region; raises BackendError when onnx is missing, too old or the bytes are no model."""
    import_reference()
    import onnx

    data = bytes(blob.data)
    try:
        graph = onnx.load_model_from_string(data).graph
    except Exception as error:
        raise BackendError(f"a reference region is not an ONNX model: {error}") from error
    defaults = {tensor.name for tensor in graph.initializer}
    inputs = [_info(value, value.name in defaults) for value in graph.input]
    return ReferenceExecutable(data, inputs, [_info(value, False) for value in graph.output])


def _info(value: Any, optional: bool) -> TensorInfo:
    import onnx

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
