"""A structural fingerprint of a model: two models with the same one compute the same, the same way.

Every value gets a digest from what computes it (a Merkle tree over the graph, the inputs its leaves), so
names of values and nodes, the order of nodes and the file a tensor lives in leave no trace, while weights,
attributes, dtypes, input shapes, operand order, opsets and the names of inputs and outputs do. A graph's
digest also covers the multiset of its nodes with their use counts: a duplicated or a dead node shows.

Not covered, because nothing computes differently: names inside the graph, doc strings, metadata, recorded
shapes and types of intermediate values.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, MutableMapping

import numpy as np
import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir.tensor_text import type_text
from graphopt.ir.walk import subgraphs

TensorDigests = MutableMapping[int, tuple[ir.TensorProtocol, bytes]]
"""``id(tensor)`` → the tensor (kept alive, so that the id stays its own) and its digest."""


def fingerprint(model: ir.Model, digests: TensorDigests | None = None) -> str:
    """64 hex digits; linear in nodes plus bytes of weights, whatever the depth of the graph.

    Args:
        model: any model whose graphs have no cycle; nodes may be in any order.
        digests: kept between calls, spares reading unchanged tensors again.

    Raises:
        ModelError: when a graph has a cycle.
    """
    walker = _Walker({} if digests is None else digests)
    functions = sorted(
        _hash(*map(_text, key), walker.function(function)) for key, function in model.functions.items()
    )
    return _hash(b"model", _opsets(model.opset_imports), walker.graph(model.graph, 0), *functions).hex()


def tensor_digest(tensor: ir.TensorProtocol) -> bytes:
    """Digest of dtype, shape and elements, the same for inline, external, packed and lazy tensors."""
    hasher = hashlib.sha256(_hash(_text(tensor.dtype.name), *(_text(str(d)) for d in tensor.shape)))
    if tensor.dtype.is_string():
        for element in tensor.numpy().reshape(-1).tolist():
            hasher.update(_framed(element if isinstance(element, bytes) else str(element).encode()))
    elif tensor.size:
        hasher.update(np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data)
    return hasher.digest()


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "little") + part


def _hash(*parts: bytes) -> bytes:
    """SHA-256 of the parts, each framed by its length so that no two sequences collide."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(_framed(part))
    return hasher.digest()


def _number(value: int) -> bytes:
    return str(value).encode()


def _opsets(imports: MutableMapping[str, int]) -> bytes:
    """``ai.onnx`` and the empty domain are one."""
    pairs = sorted(("" if domain == "ai.onnx" else domain, version) for domain, version in imports.items())
    return _hash(*(_text(f"{domain}={version}") for domain, version in pairs))


class _Walker:
    """Digests of the values seen so far. Recursion follows only the nesting of subgraphs."""

    def __init__(self, tensors: TensorDigests) -> None:
        self._tensors = tensors
        self._values: dict[ir.Value, bytes] = {}

    def function(self, function: ir.Function) -> bytes:
        parameters = sorted(
            _hash(_text(attr.name), b"" if attr.value is None else self._attribute(attr, 0))
            for attr in function.attributes.values()
        )
        return _hash(_opsets(function.opset_imports), self._body(function, 0), *parameters)

    def graph(self, graph: ir.Graph, depth: int) -> bytes:
        """The main graph (depth 0) with the names and types of its inputs and outputs, or a subgraph."""
        constants = sorted(self._initializer(value) for value in graph.initializers.values())
        body = self._body(graph, depth)
        if depth:
            return _hash(b"subgraph", body, *constants)
        signature = [self._signature(value) for value in graph.inputs]
        names = [_text(value.name or "") for value in graph.outputs]
        return _hash(b"graph", body, _hash(*signature), _hash(*names), *constants)

    def _initializer(self, value: ir.Value) -> bytes:
        digest = _hash(b"none") if value.const_value is None else self._tensor(value.const_value)
        self._values[value] = _hash(b"constant", digest)
        return _hash(digest, _number(len(value.uses())))

    def _body(self, graph: ir.Graph | ir.Function, depth: int) -> bytes:
        for index, value in enumerate(graph.inputs):
            # An input with a default is both; the default is covered among the graph's constants.
            self._values[value] = _hash(b"input", _number(depth), _number(index))
        nodes = []
        for node in _in_order(graph):
            digest = self._node(node, depth)
            for index, value in enumerate(node.outputs):
                self._values[value] = _hash(digest, _number(index))
            nodes.append(_hash(digest, *(_number(len(v.uses())) for v in node.outputs)))
        outputs = [self._value(value) for value in graph.outputs]
        return _hash(_number(len(graph.inputs)), _hash(*outputs), *sorted(nodes))

    def _node(self, node: ir.Node, depth: int) -> bytes:
        domain = "" if node.domain == "ai.onnx" else node.domain
        operator = _hash(_text(domain), _text(node.op_type), _text(node.overload))
        attributes = sorted(
            _hash(_text(attr.name), self._attribute(attr, depth)) for attr in node.attributes.values()
        )
        # Which outputs exist matters (an empty name switches a training output off); their names do not.
        present = bytes(bool(v.name) or bool(v.uses()) for v in node.outputs)
        return _hash(operator, present, _hash(*attributes), *(self._value(v) for v in node.inputs))

    def _value(self, value: ir.Value | None) -> bytes:
        if value is None:
            return b"none"
        found = self._values.get(value)
        return found if found is not None else _hash(b"undefined", _text(value.name or ""))

    def _attribute(self, attr: ir.Attr, depth: int) -> bytes:
        kinds = ir.AttributeType
        if attr.is_ref():
            return _hash(b"reference", _text(attr.type.name), _text(attr.ref_attr_name or ""))
        kind = _text(attr.type.name)
        if attr.type == kinds.TENSOR:
            return _hash(kind, self._tensor(attr.as_tensor()))
        if attr.type == kinds.TENSORS:
            return _hash(kind, *(self._tensor(t) for t in attr.as_tensors()))
        if attr.type == kinds.GRAPH:
            return _hash(kind, self.graph(attr.as_graph(), depth + 1))
        if attr.type == kinds.GRAPHS:
            return _hash(kind, *(self.graph(g, depth + 1) for g in attr.as_graphs()))
        return _hash(kind, *_scalars(attr.value))

    def _signature(self, value: ir.Value) -> bytes:
        """Name, type and, for an input that is also an initializer, the default."""
        default = b"" if value.const_value is None else self._tensor(value.const_value)
        return _hash(_text(value.name or ""), _text(type_text(value)), default)

    def _tensor(self, tensor: ir.TensorProtocol) -> bytes:
        known = self._tensors.get(id(tensor))
        if known is None:
            known = self._tensors[id(tensor)] = (tensor, tensor_digest(tensor))
        return known[1]


def _scalars(value: object) -> Iterator[bytes]:
    for item in value if isinstance(value, tuple | list) else (value,):
        # float.hex tells -0.0 from 0.0 and keeps every bit; repr of other scalars is exact.
        yield _text(item.hex() if isinstance(item, float) else repr(item))


def _in_order(graph: ir.Graph | ir.Function) -> Iterator[ir.Node]:
    """The nodes, each after those it depends on, captures of its subgraphs included (Kahn's algorithm)."""
    own = set(graph)
    waiting: dict[ir.Node, int] = {}
    users: dict[ir.Node, list[ir.Node]] = {}
    for node in graph:
        needs = {p for v in _reads(node) if v is not None and (p := v.producer()) in own}
        waiting[node] = len(needs)
        for producer in needs:
            if producer is not None:
                users.setdefault(producer, []).append(node)
    ready = deque(node for node, count in waiting.items() if count == 0)
    done = 0
    while ready:
        node = ready.popleft()
        done += 1
        yield node
        for user in users.get(node, ()):
            waiting[user] -= 1
            if waiting[user] == 0:
                ready.append(user)
    if done != len(own):
        stuck = next(node for node, count in waiting.items() if count)
        raise ModelError(
            f"the graph has a cycle through node {stuck.name or stuck.op_type!r}",
            "repair the model: no order of its nodes is valid",
        )


def _reads(node: ir.Node) -> Iterable[ir.Value | None]:
    """Inputs of a node and of every node of its subgraphs."""
    yield from node.inputs
    for graph in subgraphs(node):
        yield from graph.outputs
        for inner in graph.all_nodes():
            yield from inner.inputs
