"""Does a tensor hold what its type and dims say it holds."""

from __future__ import annotations

import math

import onnx

from graphopt.errors import ModelError
from graphopt.ir.weights import tensor_bytes

_DAMAGED = "the file is damaged: export it again"
_MAX_RANK = 64
_BYTES_PER_ENTRY: dict[int, int] = {
    onnx.TensorProto.UINT32: 4,
    onnx.TensorProto.UINT64: 8,
    onnx.TensorProto.INT32: 4,
    onnx.TensorProto.INT16: 2,
    onnx.TensorProto.UINT16: 2,
    onnx.TensorProto.FLOAT16: 2,
    onnx.TensorProto.BFLOAT16: 2,
}


def check_tensor(tensor: onnx.TensorProto) -> None:
    """Dims, type and the amount of data agree; ModelError naming the tensor otherwise.

    External tensors are checked where their file is opened.
    """
    name = tensor.name or "(unnamed)"
    if len(tensor.dims) > _MAX_RANK:
        raise ModelError(f"tensor {name!r} has rank {len(tensor.dims)}", _DAMAGED)
    needed = tensor_bytes(tensor)
    if tensor.HasField("segment"):
        raise ModelError(f"tensor {name!r} is stored in segments, which ONNX runtimes do not read", _DAMAGED)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    have, want, unit = _data_length(tensor, needed)
    if have != want:
        raise ModelError(
            f"tensor {name!r} holds {have} {unit}, its type and dims {list(tensor.dims)} need {want}",
            _DAMAGED,
        )


def _data_length(tensor: onnx.TensorProto, needed: int) -> tuple[int, int, str]:
    """What the tensor holds and should hold, in which unit."""
    kinds = onnx.TensorProto
    kind = tensor.data_type
    if kind == kinds.STRING:
        return len(tensor.string_data), math.prod(tensor.dims), "strings"
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data), needed, "bytes"
    width = max(1, _BYTES_PER_ENTRY.get(kind, 0))
    if kind in (kinds.FLOAT, kinds.COMPLEX64):
        return 4 * len(tensor.float_data), needed, "bytes"
    if kind in (kinds.DOUBLE, kinds.COMPLEX128):
        return 8 * len(tensor.double_data), needed, "bytes"
    if kind == kinds.INT64:
        return 8 * len(tensor.int64_data), needed, "bytes"
    if kind in (kinds.UINT32, kinds.UINT64):
        return width * len(tensor.uint64_data), needed, "bytes"
    return width * len(tensor.int32_data), needed, "bytes"
