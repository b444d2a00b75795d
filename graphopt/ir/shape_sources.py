"""The two libraries that know operator shapes, each asked without letting it touch the model.

Either may fail on a model, crash on a node or return nonsense: what it could say is kept, the rest is
unknown. Both start from the inputs and constants alone, so a wrong ``value_info`` in the file misleads
neither.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from graphopt.ir.freeze import all_values
from graphopt.ir.save import to_proto
from graphopt.ir.schemas import STANDARD_DOMAINS
from graphopt.ir.shape_rules import make_sound
from graphopt.ir.signature import leaf_shape
from graphopt.ir.walk import nodes, subgraphs

logger = logging.getLogger(__name__)

Dim = int | str
_KEEP_BELOW = 2048  # bytes of a constant that inference may want to read: shapes, axes, small index lists
_LONG_RANGE = 4096  # elements; nothing that a shape is computed from is longer
_SYMBOL = re.compile(r"[A-Za-z_]\w*")
_FUNCTIONS = re.compile(r"[A-Za-z_]\w*(?=\()")
_LONGEST = 300  # characters of an expression anyone would want to read or evaluate
_READABLE_FUNCTIONS = frozenset({"floor", "Max", "Min", "Mod", "max", "min", "mod"})


@dataclass(frozen=True)
class Fact:
    """What one source says about one value.

    Attributes:
        type: its type, or None.
        dims: numbers, names and expressions over the inputs' names; a name the source made up starts
            with its own prefix. None when the rank is unknown.
    """

    type: ir.TypeProtocol | None
    dims: tuple[Dim, ...] | None


Facts = dict[ir.Value, Fact]
Rename = Callable[[str], str]


class Names:
    """The names of dims in one run of inference: those of the model's inputs, and those made up.

    Attributes:
        known: the names on the model's inputs, the only ones inference may build on.
        generated: what ``fresh`` has returned so far.
    """

    def __init__(self, model: ir.Model) -> None:
        self.known = frozenset(_symbols(model.graph.inputs))
        self.generated: set[str] = set()
        self._taken = set(_symbols(all_values(model)))
        self._count = 0

    def fresh(self) -> str:
        """A name that occurs nowhere in the model: ``unk_0``, ``unk_1``…"""
        while (name := f"unk_{self._count}") in self._taken:
            self._count += 1
        self._taken.add(name)
        self.generated.add(name)
        return name

    def made_up(self, dim: Dim) -> bool:
        """Whether a dim's name, or one in its expression, came from ``fresh``."""
        return isinstance(dim, str) and any(symbol in self.generated for symbol in _SYMBOL.findall(dim))


def ask_onnx(model: ir.Model, names: Names) -> Facts:
    """Facts from ``onnx.shape_inference`` run on a weight-stripped copy."""
    try:
        proto = to_proto(model, keep_below=_KEEP_BELOW)
        _forget(proto.graph, {key[:2] for key in model.functions})
        _forget_members(proto.graph)
        _hide_long_ranges(proto.graph)
        _hide_output_shapes(proto.graph)
        inferred = onnx.shape_inference.infer_shapes(
            proto, check_type=False, strict_mode=False, data_prop=True
        )
    except Exception as error:  # its exceptions have no common type, and cost only what it could have said
        logger.debug("onnx.shape_inference gave up: %s", error)
        return {}
    rename = _renamer(names)
    return dict(_read_graph(model.graph, inferred.graph, rename))


def ask_symbolic(model: ir.Model, names: Names) -> Facts:
    """Facts from ``onnx_shape_inference``, which calculates with names (``2*seq + 1``)."""
    from onnx_shape_inference import infer_symbolic_shapes

    make_sound()
    try:
        copy = model.clone()
    except Exception as error:  # a graph the library cannot walk: an undefined input, nodes out of order
        logger.debug("onnx_ir cannot copy the model: %s", error)
        return {}
    originals, copies = list(all_values(model)), list(all_values(copy))
    keep = set(copy.graph.inputs)
    for value in copies:
        if value not in keep and not value.is_initializer() and not _is_foreign(value):
            value.shape = None
    for value in copy.graph.inputs:
        if value.shape is not None and not isinstance(value.type, ir.TensorType | ir.SparseTensorType):
            value.shape = ir.Shape([dim if isinstance(dim, int) else None for dim in value.shape])
    try:
        infer_symbolic_shapes(copy, warn_on_missing=False, adopt_declared_symbols=False)
    except Exception as error:  # a ValueError from any operator ends it: keep what it found before
        logger.debug("onnx_shape_inference gave up: %s", error)
    rename = _renamer(names)
    loops = _loop_bodies(model)
    inputs = set(model.graph.inputs)
    return {
        value: Fact(twin.type, None if value.graph in loops else _dims(twin.shape, rename))
        for value, twin in zip(originals, copies, strict=True)
        if value not in inputs
    }


def _loop_bodies(model: ir.Model) -> frozenset[ir.Graph]:
    """Every graph inside a Loop, at any depth: what it carries may change shape from round to round."""
    bodies: set[ir.Graph] = set()
    for node in nodes(model):
        if node.op_type == "Loop" and node.domain == "":
            for body in subgraphs(node):
                bodies.add(body)
                bodies.update(body.subgraphs())
    return frozenset(bodies)


def _symbols(values: Iterable[ir.Value]) -> Iterator[str]:
    for value in values:
        for dim in value.shape or ():
            if isinstance(dim, ir.SymbolicDim) and dim.value:
                yield from _SYMBOL.findall(dim.value)


def _is_foreign(value: ir.Value) -> bool:
    """Whether an operator made it that no library knows: its declared shape is all there is."""
    producer = value.producer()
    return producer is not None and producer.domain not in STANDARD_DOMAINS


def _forget(graph: onnx.GraphProto, functions: set[tuple[str, str]]) -> None:
    """Drop declared shapes of everything a known operator computes."""
    foreign: set[str] = set()
    for node in graph.node:
        if node.domain not in STANDARD_DOMAINS and (node.domain, node.op_type) not in functions:
            foreign.update(node.output)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget(attribute.g, functions)
            for subgraph in attribute.graphs:
                _forget(subgraph, functions)
    kept = [value for value in graph.value_info if value.name in foreign]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    for value in graph.output:
        if value.name not in foreign and value.type.WhichOneof("value") == "tensor_type":
            value.type.tensor_type.ClearField("shape")


def _forget_members(graph: onnx.GraphProto) -> None:
    """Drop the names of dims in the types of sequences: each member may have another size."""
    for value in graph.input:
        shape = None if value.type.HasField("tensor_type") else leaf_shape(value.type)
        for dim in shape.dim if shape is not None else ():
            dim.ClearField("dim_param")


def _hide_long_ranges(graph: onnx.GraphProto) -> None:
    """Let onnx see the length of a long constant Range and not the node: it would list every element."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        bounds = [constants.get(name) for name in node.input]
        if node.op_type != "Range" or node.domain not in STANDARD_DOMAINS or None in bounds:
            continue
        start, limit, delta = (onnx.numpy_helper.to_array(t).item() for t in bounds if t is not None)
        length = max(0, math.ceil((limit - start) / delta)) if delta else 0
        if length > _LONG_RANGE:
            node.domain = "hidden"
            dtype = constants[node.input[0]].data_type
            graph.value_info.append(onnx.helper.make_tensor_value_info(node.output[0], dtype, [length]))


def _hide_output_shapes(graph: onnx.GraphProto) -> None:
    """Let onnx see no ConvTranspose with an output shape.

    Where it cuts something off, onnx stops in the middle and takes the dims so far for all of them.
    """
    for node in graph.node:
        if node.op_type == "ConvTranspose" and any(a.name == "output_shape" for a in node.attribute):
            node.domain = "hidden"


def _read_graph(graph: ir.Graph, proto: onnx.GraphProto, rename: Rename) -> Iterator[tuple[ir.Value, Fact]]:
    infos = {info.name: info for info in (*proto.value_info, *proto.output)}
    for node, node_proto in zip(graph, proto.node, strict=True):
        for value in node.outputs:
            info = infos.get(value.name or "")
            if info is not None and value.name:
                yield value, _read(info, rename)
        graphs = [
            g
            for attribute in node_proto.attribute
            for g in ([attribute.g] if attribute.HasField("g") else attribute.graphs)
        ]
        for subgraph, subproto in zip(subgraphs(node), graphs, strict=True):
            yield from _read_graph(subgraph, subproto, rename)


def _read(info: onnx.ValueInfoProto, rename: Rename) -> Fact:
    try:
        type_ = ir.serde.deserialize_type_proto_for_type(info.type)
    except Exception:  # a type the IR lacks
        return Fact(None, None)
    if type_ is not None and type_.dtype == ir.DataType.UNDEFINED:
        type_ = None
    shape = leaf_shape(info.type)
    if shape is None:
        return Fact(type_, None)
    dims: list[Dim] = []
    for dim in shape.dim:
        if dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0:
            dims.append(dim.dim_value)
        else:
            dims.append(rename(dim.dim_param if dim.WhichOneof("value") == "dim_param" else ""))
    return Fact(type_, tuple(dims))


def _dims(shape: ir.Shape | None, rename: Rename) -> tuple[Dim, ...] | None:
    if shape is None:
        return None
    dims: list[Dim] = []
    for dim in shape:
        if isinstance(dim, int):
            dims.append(dim if dim >= 0 else rename(""))
        else:
            dims.append(rename(dim.value or ""))
    return tuple(dims)


def _renamer(names: Names) -> Rename:
    """Maps one source's names to ours: inputs' names stay, made-up ones get a name nobody has yet.

    In an expression each made-up symbol is replaced; an expression with a function the IR cannot
    parse back becomes one made-up name.
    """
    given: dict[str, str] = {}

    def invented(text: str) -> str:
        if text not in given:
            given[text] = names.fresh()
        return given[text]

    def symbol(name: str) -> str:
        return name if name in names.known or name in _READABLE_FUNCTIONS else invented(name)

    def rename(text: str) -> str:
        if not text:
            return names.fresh()
        if text.isidentifier():
            return text if text in names.known else invented(text)
        readable = set(_FUNCTIONS.findall(text)) <= _READABLE_FUNCTIONS
        if not readable or len(text) > _LONGEST or "**" in text:
            return invented(text)
        return _SYMBOL.sub(lambda match: symbol(match[0]), text)

    return rename
