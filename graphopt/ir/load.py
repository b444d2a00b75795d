"""Import: any ONNX model as a checked IR model at the imported level."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from pathlib import Path

import onnx
import onnx_ir as ir

from graphopt.errors import GraphoptError, ModelError
from graphopt.ir import walk
from graphopt.ir.dims import DimNames
from graphopt.ir.levels import Level
from graphopt.ir.memory import is_out_of_memory, memory_guard
from graphopt.ir.order import sort_model
from graphopt.ir.signature import capture
from graphopt.ir.sparse import densify
from graphopt.ir.structure import check_structure
from graphopt.ir.utf8 import repair_text
from graphopt.ir.verify import check
from graphopt.ir.weights import WeightFiles, map_file
from graphopt.ir.wire import Buffer, split
from graphopt.ir.wording import one_line, root_cause

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | onnx.ModelProto | ir.Model

Opener = Callable[[ir.TensorProtocol], ir.TensorProtocol]

_FORMATS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive (a PyTorch or numpy file?)", "export it to ONNX first"),
    (b"\x80", "a Python pickle", "export it to ONNX first"),
    (b"\x89HDF", "an HDF5 file", "convert it with tf2onnx first"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"ustar", "a tar archive", "unpack it first"),
    (b"{", "JSON", "pass the binary .onnx file"),
    (b"<", "text", "pass the binary .onnx file"),
)


def load_model(source: Source, *, folder: str | os.PathLike[str] | None = None) -> ir.Model:
    """Import a model: read it, check it, sort it, and clean the names of its dims.

    Weights are not copied: they are views into a memory map of the file they lie in (or into the
    bytes handed in), so models beyond 2 GB load like any other. Unknown dims (unnamed, ``?``, -1,
    ``unk__12``) get names of their own; what the author declared comes back when the model is saved.

    Args:
        source: a path, the bytes of a model, a ModelProto, or an IR model (which is copied, its
            tensors shared).
        folder: where the external data of a model given as bytes or proto lies.

    Returns:
        A model at the imported level that shares nothing mutable with ``source``.

    Raises:
        ModelError: one line naming what is wrong with the model and what to do about it.
    """
    with memory_guard("loading the model"):
        try:
            return _load(source, None if folder is None else Path(folder))
        except ModelError as error:
            raise ModelError(one_line(error.message), error.hint) from error
        except Exception as error:
            if isinstance(error, GraphoptError) or is_out_of_memory(error):
                raise
            raise ModelError(
                f"{_describe(source)} cannot be imported: {root_cause(error)}",
                "check it with `python -m onnx.checker`, or export it again",
            ) from error


def _load(source: Source, folder: Path | None) -> ir.Model:
    name = _describe(source)
    if isinstance(source, ir.Model):
        return _finish(_adopt(source))
    path: Path | None = None
    buffer: Buffer
    if isinstance(source, onnx.ModelProto):
        buffer = _serialise(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        buffer = bytes(source)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        buffer = _open(path)
    else:
        raise ModelError(f"cannot import a {type(source).__name__}", "pass a path, bytes or a model")
    if len(buffer) == 0:
        raise ModelError(f"{name} is empty", "fetch or export the file again")
    proto = _parse(buffer, name)
    repair_text(proto)
    densify(proto)
    check_structure(proto, name)
    tensors = _resolve(proto, WeightFiles(buffer, path, folder))
    model = ir.from_proto(proto)
    _attach(model, tensors)
    return _finish(model)


def _finish(model: ir.Model) -> ir.Model:
    _normalise_domains(model)
    sort_model(model)
    check(model, Level.IMPORTED)
    capture(model)
    _clean_dims(model)
    return model


def _adopt(model: ir.Model) -> ir.Model:
    """A copy of a model someone built or edited, or ModelError when it cannot even be walked."""
    sort_model(model)  # clone() takes the nodes in order
    copy = model.clone()
    copy.meta.update(model.meta)
    return copy


def _open(path: Path) -> Buffer:
    try:
        buffer = map_file(path)
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist", "check the path") from None
    except (OSError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(f"{path} cannot be read: {reason}", "pass a readable .onnx file") from error
    head = bytes(buffer[:512])
    for magic, kind, hint in _FORMATS:
        if head.startswith(magic) or (magic == b"ustar" and head[257:262] == magic):
            raise ModelError(f"{path} is {kind}", hint)
    if head[4:8] in (b"ORTM", b"TFL3"):
        kind = "an ONNX Runtime .ort file" if head[4:8] == b"ORTM" else "a TensorFlow Lite file"
        raise ModelError(f"{path} is {kind}", "pass the .onnx file it was made from")
    return buffer


def _serialise(proto: onnx.ModelProto) -> bytes:
    try:
        return bytes(proto.SerializeToString())
    except Exception as error:  # protobuf's own error type is private
        if is_out_of_memory(error):
            raise
        raise ModelError(
            "the ModelProto cannot be serialised (larger than 2 GB?)",
            "save it with external data and pass the path",
        ) from error


def _parse(buffer: Buffer, name: str) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    skeleton = split(buffer, name)
    try:
        proto.ParseFromString(skeleton)
    except Exception as error:  # protobuf's DecodeError, whose module has no types
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"{name} is damaged, cut off or nested too deeply: it is not a well-formed ONNX model",
            "fetch or export the file again",
        ) from error
    return proto


def _resolve(proto: onnx.ModelProto, files: WeightFiles) -> list[ir.TensorProtocol]:
    """Open every external tensor and leave its number in the list as its location."""
    tensors: list[ir.TensorProtocol] = []
    for tensor in _tensor_protos(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        view = files.tensor(tensor)
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value=str(len(tensors)))
        tensors.append(view)
    return tensors


def _tensor_protos(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(proto.graph)
    for function in proto.functions:
        yield from _node_tensors(function.node)
        yield from (a.t for a in function.attribute_proto if a.HasField("t"))


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _graph_tensors(attribute.g)
            for graph in attribute.graphs:
                yield from _graph_tensors(graph)


def _attach(model: ir.Model, tensors: list[ir.TensorProtocol]) -> None:
    """Put the opened tensors where the IR has placeholders for them."""

    def opened(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        return tensors[int(str(tensor.location))] if isinstance(tensor, ir.ExternalTensor) else tensor

    for graph in walk.graphs(model):
        if isinstance(graph, ir.Graph):
            for value in graph.initializers.values():
                if value.const_value is not None:
                    value.const_value = opened(value.const_value)
        for node in graph:
            _attach_attributes(node.attributes, opened)
    for function in model.functions.values():
        _attach_attributes(function.attributes, opened)


def _attach_attributes(attributes: MutableMapping[str, ir.Attr], opened: Opener) -> None:
    for name, attribute in list(attributes.items()):
        if attribute.is_ref() or attribute.value is None:
            continue
        if attribute.type == ir.AttributeType.TENSOR and isinstance(attribute.value, ir.ExternalTensor):
            attributes[name] = ir.AttrTensor(name, opened(attribute.value), attribute.doc_string)
        elif attribute.type == ir.AttributeType.TENSORS:
            attributes[name] = ir.AttrTensors(name, [opened(t) for t in attribute.value])


def _normalise_domains(model: ir.Model) -> None:
    """``ai.onnx`` and the empty domain are the same: keep one spelling. IR version 1 and 2 imply opset 1."""
    for imports in [body.opset_imports for body in walk.bodies(model)]:
        version = imports.pop("ai.onnx", None)
        if version is not None:
            imports.setdefault("", version)
    if not model.opset_imports:
        model.opset_imports[""] = 1


def _clean_dims(model: ir.Model) -> None:
    values = list(_shaped_values(model))
    written = {d.value for v in values for d in v.shape or () if isinstance(d, ir.SymbolicDim) and d.value}
    names = DimNames(frozenset(written))
    for value in values:
        shape = value.shape
        if shape is None or all(isinstance(dim, int) and dim >= 0 for dim in shape):
            continue
        denotations = [shape.get_denotation(i) for i in range(len(shape))]
        value.shape = ir.Shape([names.clean(d) for d in shape], denotations)


def _shaped_values(model: ir.Model) -> Iterator[ir.Value]:
    for graph in walk.graphs(model):
        seen = dict.fromkeys([*graph.inputs, *(v for node in graph for v in node.outputs), *graph.outputs])
        yield from (value for value in seen if value.shape is not None)


def _describe(source: Source) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return "the model"
