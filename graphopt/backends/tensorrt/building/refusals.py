"""Which nodes of a region TensorRT refuses, when it refuses the region.

The parser stops at the first node it finds invalid, and the builder often names no node at all. So nodes
found are cut out and the rest is parsed again; and where no node is named, the shortest run of nodes from
the start of the graph that is refused ends with the culprit: TensorRT decides, never a list of ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import onnx

from graphopt.backends.tensorrt.building.request import BuildRefused

Attempt = Callable[[onnx.ModelProto], "BuildRefused | None"]
"""Parses or builds a model: the refusal, or None when it is taken."""

_MOST_CUTS = 64
_MOST_BUILDS = 24
_MOST_SECONDS = 120.0
_T = onnx.TensorProto
_RETURNED = frozenset({_T.FLOAT, _T.FLOAT16, _T.BFLOAT16, _T.INT32, _T.INT64, _T.BOOL})
"""Dtypes an engine may return; a value of another is not made an output to test a part of a graph."""


def refused_nodes(
    model: onnx.ModelProto, refused: BuildRefused, parse: Attempt, build: Attempt
) -> dict[str, str]:
    """Name of a node of the main graph → why TensorRT does not take it; empty when it cannot be said.

    Args:
        model: that was refused.
        refused: how.
        parse: parses a part of it.
        build: builds a part of it.
    """
    if refused.stage == "options":
        return {}
    if refused.stage == "parse" and (found := _cut_invalid(model, refused, parse)):
        return found
    attempt = parse if refused.stage == "parse" else build
    culprit = _Search(model, attempt, refused).run()
    if culprit is None:
        return {}
    return {_name(culprit[0]): culprit[1]} | _others_like(model, culprit[0], attempt)


def _cut_invalid(model: onnx.ModelProto, refused: BuildRefused, parse: Attempt) -> dict[str, str]:
    """Every node the parser names, found by parsing again without the ones it named before."""
    found: dict[str, str] = {}
    for _ in range(_MOST_CUTS):
        named = dict(_named(model, refused))
        if not named:
            return found
        found |= {_name(model.graph.node[index]): why for index, why in named.items()}
        rest = _without(model, frozenset(named))
        if rest is None:
            return found
        again = parse(rest)
        if again is None or again.stage != "parse":
            return found
        model, refused = rest, again
    return found


def _named(model: onnx.ModelProto, refused: BuildRefused) -> Iterator[tuple[int, str]]:
    """(Position of a node of the main graph, why) for what a refusal names, in it or in its subgraphs."""
    for index, node in enumerate(model.graph.node):
        for name in _names(node):
            if name in refused.reasons:
                yield index, refused.reasons[name]
                break
    for index, why in refused.indices.items():
        if 0 <= index < len(model.graph.node):
            yield index, why


@dataclass
class _Search:
    """Finds the node that ends the shortest refused run from the start of a graph.

    Attributes:
        model: that is refused.
        attempt: whether a part of it is.
        refused: how the model was; then, how the shortest refused run known was.
    """

    model: onnx.ModelProto
    attempt: Attempt
    refused: BuildRefused
    taken: int = 0
    too_many: int = 0
    left: int = _MOST_BUILDS

    def run(self) -> tuple[onnx.NodeProto, str] | None:
        """The culprit and why; None when it was not found with the attempts and the time there are."""
        started = time.monotonic()
        self.too_many = len(self.model.graph.node)
        for index in self._suspects():
            self._try(index + 1)
            self._try(index)
        while self.too_many - self.taken > 1:
            if self.left <= 0 or time.monotonic() - started > _MOST_SECONDS:
                return None
            self._try((self.taken + self.too_many) // 2)
        return (self.model.graph.node[self.too_many - 1], self.refused.message) if self.too_many else None

    def _suspects(self) -> Sequence[int]:
        """Positions of nodes whose names stand in what TensorRT said: tried first, never believed."""
        words = set(self.refused.message.replace("'", " ").replace('"', " ").replace(",", " ").split())
        return [index for index, node in enumerate(self.model.graph.node) if node.name in words][:2]

    def _try(self, count: int) -> None:
        """Narrow the range by the first ``count`` nodes."""
        if not self.taken < count < self.too_many:
            return
        self.left -= 1
        part = _prefix(self.model, count)
        again = self.attempt(part) if part is not None else None
        if again is None or again.stage == "options":
            self.taken = count
        else:
            self.too_many, self.refused = count, again


def _others_like(model: onnx.ModelProto, culprit: onnx.NodeProto, attempt: Attempt) -> dict[str, str]:
    """Other nodes of the culprit's operator that are refused alone, as it is: no search for each of them."""
    alike = [node for node in model.graph.node if node.op_type == culprit.op_type and node != culprit]
    if not alike or _refused_alone(model, culprit, attempt) is None:
        return {}
    answers = ((node, _refused_alone(model, node, attempt)) for node in alike[:_MOST_CUTS])
    return {_name(node): again.message for node, again in answers if again is not None}


def _refused_alone(model: onnx.ModelProto, node: onnx.NodeProto, attempt: Attempt) -> BuildRefused | None:
    """How a node is refused as a model of its own; None when it is not, or cannot be one."""
    types = _types(model) | {value.name: value for value in model.graph.input}
    weights = {tensor.name for tensor in model.graph.initializer}
    read = [name for name in dict.fromkeys(_reads(node)) if name not in weights]
    returned = [types[name] for name in node.output if name in types and _elem_type(types[name]) in _RETURNED]
    if not returned or any(name not in types for name in read):
        return None
    again = attempt(_part(model, [node], [types[name] for name in read], returned))
    return None if again is None or again.stage == "options" else again


def _prefix(model: onnx.ModelProto, count: int) -> onnx.ModelProto | None:
    """The first nodes as a model that returns what later ones read; None when nothing can be returned."""
    nodes, later = list(model.graph.node[:count]), list(model.graph.node[count:])
    made = {name for node in nodes for name in node.output if name}
    wanted = {name for node in later for name in _reads(node)} | {value.name for value in model.graph.output}
    read = {name for node in nodes for name in _reads(node)}
    ends = (made & wanted) | (made - read)
    returned = [
        value for name, value in _types(model).items() if name in ends and _elem_type(value) in _RETURNED
    ]
    return _part(model, nodes, list(model.graph.input), returned) if returned else None


def _without(model: onnx.ModelProto, cut: frozenset[int]) -> onnx.ModelProto | None:
    """The model without some nodes, whose results become inputs; None where nothing is left."""
    nodes = [node for index, node in enumerate(model.graph.node) if index not in cut]
    gone = {name for index in cut for name in model.graph.node[index].output if name}
    types = _types(model)
    if any(name in gone and name not in types for node in nodes for name in _reads(node)):
        return None  # an input must have a type
    fed = [types[name] for name in gone if name in types]
    returned = [value for value in model.graph.output if value.name not in gone]
    made = {name for node in nodes for name in node.output}
    read = {name for node in nodes for name in _reads(node)}
    # What only the nodes cut out read is returned instead, so that it is still looked at.
    returned += [
        types[name]
        for name in made - read - {value.name for value in returned}
        if name in types and _elem_type(types[name]) in _RETURNED
    ]
    return _part(model, nodes, [*model.graph.input, *fed], returned) if nodes and returned else None


def _part(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    read = {name for node in nodes for name in _reads(node)}
    part = onnx.ModelProto()
    part.ir_version = model.ir_version
    part.opset_import.extend(model.opset_import)
    part.graph.name = model.graph.name
    part.graph.node.extend(nodes)
    part.graph.input.extend(value for value in inputs if value.name in read)
    part.graph.output.extend(outputs)
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in read)
    part.graph.value_info.extend(model.graph.value_info)
    return part


def _types(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Every value whose dtype and rank are written down."""
    known = (*model.graph.value_info, *model.graph.output)
    return {value.name: value for value in known if value.type.tensor_type.HasField("shape")}


def _elem_type(value: onnx.ValueInfoProto) -> int:
    return int(value.type.tensor_type.elem_type)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names a node reads, those that its subgraphs capture included."""
    yield from filter(None, node.input)
    for graph in _graphs(node):
        inner = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        inner |= {name for child in graph.node for name in child.output}
        yield from (name for child in graph.node for name in _reads(child) if name not in inner)
        yield from (value.name for value in graph.output if value.name not in inner)


def _names(node: onnx.NodeProto) -> Iterator[str]:
    """The node's name and those of every node inside it."""
    yield node.name
    for graph in _graphs(node):
        for child in graph.node:
            yield from _names(child)


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _name(node: onnx.NodeProto) -> str:
    return node.name or next(filter(None, node.output), node.op_type)
