"""Write a model: atomically, its weights inside or beside it, never through one big protobuf."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import onnx
import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir import walk
from graphopt.ir.memory import is_out_of_memory, memory_guard
from graphopt.ir.signature import restore, signature_of
from graphopt.ir.wording import root_cause

PROTOBUF_LIMIT = (1 << 31) - (1 << 24)
"""Bytes of weights beyond which a model cannot be one protobuf (2 GB, less room for the graph)."""

ALIGNMENT = 4096
"""Weights start at multiples of a page, so that runtimes can map them in place."""

Place = tuple[str, int, int]
"""Where a tensor's bytes lie: a file's name, an offset and a length."""

_TENSOR_ATTRIBUTES = (ir.AttributeType.TENSOR, ir.AttributeType.TENSORS)


def save_model(
    model: ir.Model,
    path: str | os.PathLike[str],
    *,
    weights_name: str | None = None,
    inline_below: int = 1024,
) -> None:
    """Write ``model`` to ``path``; the file appears complete or not at all.

    Args:
        model: left as it is.
        path: the ``.onnx`` file to write or replace; its folder must exist.
        weights_name: file beside ``path`` for the large weights. None keeps them inside, unless they
            pass 2 GB: then they go to ``<file name>.data``. A tensor used twice is written once.
        inline_below: tensors of fewer bytes stay inside even then.

    Raises:
        ModelError: the folder is missing or not writable, the disk is full, or the model cannot be
            serialised. Nothing is left behind.
    """
    path = Path(path)
    if weights_name is None and walk.weight_bytes(model) > PROTOBUF_LIMIT:
        weights_name = f"{path.name}.data"
    if weights_name is not None and (Path(weights_name).name != weights_name or weights_name == path.name):
        raise ModelError(f"weights cannot go to {weights_name!r}", "name a file in the model's own folder")
    with memory_guard("saving the model"), _named_errors(path):
        if weights_name is None:
            with replacing(path) as file:
                file.write(to_bytes(model))
            return
        large = _large_tensors(model, inline_below)
        with replacing(path) as file, replacing(path.parent / weights_name) as weights:
            places = _write_weights(large, weights)
            file.write(_serialise(model, {key: (weights_name, *place) for key, place in places.items()}))
            for written in (weights, file):  # both on disk before either takes its place
                written.flush()
                os.fsync(written.fileno())


def to_bytes(model: ir.Model) -> bytes:
    """The whole model, weights included, as a serialised ModelProto.

    Raises:
        ModelError: its weights pass protobuf's 2 GB, or it cannot be serialised.
    """
    size = walk.weight_bytes(model)
    if size > PROTOBUF_LIMIT:
        raise ModelError(
            f"the model's weights take {size >> 20} MiB, one protobuf holds 2 GB",
            "save it with weights_name= so that they lie in a file of their own",
        )
    return _serialise(model, {})


def to_proto(model: ir.Model, *, keep_below: int | None = None) -> onnx.ModelProto:
    """The model as a ModelProto.

    Args:
        model: left as it is.
        keep_below: leave out the data of tensors of this many bytes or more (they become external
            references to nowhere, as inference and printing need only their dims); None keeps all.
    """
    if keep_below is None:
        return _to_proto(model, {})
    return _to_proto(model, {id(t): ("weights", 0, t.nbytes) for t in _large_tensors(model, keep_below)})


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file that takes ``path``'s place once written and synced; removed on any failure."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _file_mode(path))  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _file_mode(path: Path) -> int:
    """The mode of the file being replaced, or what an ordinary new file would get."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{path} cannot be written: {error.strerror or error}", "choose a writable folder with room"
        ) from error


def _large_tensors(model: ir.Model, inline_below: int) -> list[ir.TensorProtocol]:
    return [
        tensor
        for tensor in walk.constants(model)
        if tensor.dtype != ir.DataType.STRING and tensor.nbytes >= max(1, inline_below)
    ]


def _write_weights(tensors: list[ir.TensorProtocol], file: IO[bytes]) -> dict[int, tuple[int, int]]:
    """Write each tensor once, page-aligned; returns where each lies by the identity of its object."""
    places: dict[int, tuple[int, int]] = {}
    offset = 0
    for tensor in tensors:
        padding = -offset % ALIGNMENT if tensor.nbytes >= ALIGNMENT else -offset % 64
        file.write(bytes(padding))
        offset += padding
        write = getattr(tensor, "tofile", None)  # not in the protocol, but every tensor of onnx_ir has it
        if write is not None:
            write(file)  # straight from the map, without a copy in memory
        else:
            file.write(tensor.tobytes())
        places[id(tensor)] = (offset, tensor.nbytes)
        offset += tensor.nbytes
    return places


def _serialise(model: ir.Model, elsewhere: dict[int, Place]) -> bytes:
    try:
        return bytes(_to_proto(model, elsewhere).SerializeToString())
    except Exception as error:  # onnx_ir's SerdeError, protobuf's private errors
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"the model cannot be serialised: {root_cause(error)}", "verify the model"
        ) from error


def _to_proto(model: ir.Model, elsewhere: dict[int, Place]) -> onnx.ModelProto:
    with _references(model, elsewhere):
        proto = ir.to_proto(model)
    restore(proto, signature_of(model))
    return proto


@contextmanager
def _references(model: ir.Model, elsewhere: dict[int, Place]) -> Iterator[None]:
    """While inside, every tensor in ``elsewhere`` is an external reference."""
    undo: list[Callable[[], None]] = []

    def reference(tensor: ir.TensorProtocol, name: str | None) -> ir.TensorProtocol:
        place = elsewhere.get(id(tensor))
        if place is None:
            return tensor
        return ir.ExternalTensor(*place, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name or "")

    def refer_value(value: ir.Value, tensor: ir.TensorProtocol) -> None:
        value.const_value = reference(tensor, value.name)
        undo.append(lambda: setattr(value, "const_value", tensor))

    def refer_attribute(node: ir.Node, attribute: ir.Attr) -> None:
        if attribute.type == ir.AttributeType.TENSOR:
            tensor = attribute.as_tensor()
            replaced = ir.AttrTensor(attribute.name, reference(tensor, tensor.name))
        else:
            replaced = ir.AttrTensors(attribute.name, [reference(t, t.name) for t in attribute.as_tensors()])
        node.attributes[attribute.name] = replaced
        undo.append(lambda: node.attributes.add(attribute))

    try:
        for graph in walk.graphs(model) if elsewhere else ():
            for value in graph.initializers.values() if isinstance(graph, ir.Graph) else ():
                if value.const_value is not None:
                    refer_value(value, value.const_value)
            for node in graph:
                for attribute in list(node.attributes.values()):
                    if attribute.type in _TENSOR_ATTRIBUTES and not attribute.is_ref():
                        refer_attribute(node, attribute)
        yield
    finally:
        for step in undo:
            step()
