"""A region as files that TensorRT's parser reads: the model, and its large weights beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO

import onnx_ir as ir

from graphopt.backends.flatten import flatten
from graphopt.backends.serialize import serialize
from graphopt.backends.tensorrt.building.request import Output

if TYPE_CHECKING:
    import onnx

_WEIGHTS = "weights.bin"
_ALIGNMENT = 64
_SPELLED = {ir.DataType.FLOAT: "float32", ir.DataType.DOUBLE: "float64"}
_EXTERNAL = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.INT8})
"""Dtypes that take whole bytes and that large weights have; others stay in the protobuf."""


@dataclass(frozen=True)
class RegionFiles:
    """A region on disk.

    Attributes:
        folder: that holds everything, and whatever is built from it.
        data: the model as ONNX bytes that refer to the weights by their file name.
        model: path of those bytes.
        digest: SHA-256 over the model and its weights, in hexadecimal.
    """

    folder: Path
    data: bytes
    model: Path
    digest: str


def model_outputs(model: onnx.ModelProto) -> tuple[Output, ...]:
    """What a model returns, where its dtype and rank are written down."""
    found: list[Output] = []
    for value in model.graph.output:
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            sizes = (dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim)
            dtype = ir.DataType(kind.elem_type)
            name = _SPELLED.get(dtype, dtype.name.lower())
            found.append(Output(value.name, name, tuple(sizes)))
    return tuple(found)


class _Weights:
    """Puts large weights into one file (a ``WeightSink``)."""

    location = _WEIGHTS

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def place(self, name: str, tensor: ir.TensorProtocol) -> tuple[int, int] | None:  # noqa: ARG002
        """Append a tensor's bytes; the (offset, length) they got."""
        if tensor.dtype not in _EXTERNAL:
            return None
        self._file.write(b"\0" * (-self._file.tell() % _ALIGNMENT))
        offset, data = self._file.tell(), tensor.tobytes()
        self._file.write(data)
        self.digest.update(data)
        return offset, len(data)


@contextmanager
def region_files(region: ir.Model) -> Iterator[RegionFiles]:
    """Write a legalised region into a folder that goes away again."""
    with TemporaryDirectory(prefix="graphopt-engine-") as name:
        folder = Path(name)
        with (folder / _WEIGHTS).open("wb") as file:
            weights = _Weights(file)
            data = serialize(flatten(region), weights)
        model = folder / "model.onnx"
        model.write_bytes(data)
        weights.digest.update(data)
        yield RegionFiles(folder, data, model, weights.digest.hexdigest())
