"""From a failing model to a minimal one: cut it from below, from above, and take out what is not needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.shape_inference

from graphopt.driver.opt import import_model
from graphopt.errors import GraphoptError
from tests.property.builder import Array
from tests.property.check import plain_runner

Feeds = tuple[dict[str, Array], ...]
Fails = Callable[[onnx.ModelProto, Feeds], bool]


@dataclass(frozen=True)
class Piece:
    """A model and feeds for it."""

    model: onnx.ModelProto
    feeds: Feeds

    @property
    def size(self) -> int:
        """What is to become small: nodes, then inputs, outputs and constants."""
        graph = self.model.graph
        return 100 * _nodes(graph) + len(graph.input) + len(graph.output) + len(graph.initializer)


def shrink(
    model: onnx.ModelProto, feeds: Sequence[dict[str, Array]], fails: Fails, *, tries: int = 400
) -> Piece:
    """The smallest model found that still fails.

    Args:
        model: one that fails.
        feeds: with which it does.
        fails: whether a candidate fails the same way; candidates may be invalid.
        tries: candidates to look at before giving up.
    """
    best = Piece(model, tuple(feeds))
    left = tries
    while True:
        for candidate in _smaller(best):
            if candidate.size >= best.size:
                continue
            if left == 0:
                return best
            left -= 1
            if fails(candidate.model, candidate.feeds):
                best = candidate
                break
        else:
            return best


def _smaller(piece: Piece) -> Iterator[Piece]:
    """Candidates, the boldest cuts first."""
    values = _observed(piece)
    nodes = piece.model.graph.node
    if values is not None:
        for index in _halving(len(nodes)):
            yield _cut_below(piece, values, index)
        for index in reversed(list(_halving(len(nodes)))):
            yield _cut_above(piece, values, nodes[index])
    for index in range(len(piece.model.graph.output)):
        if len(piece.model.graph.output) > 1:
            yield _without_output(piece, index)
    for node in nodes:
        yield from _bypassed(piece, values or ({},), node)
    for feed in range(1, len(piece.feeds)):
        yield Piece(piece.model, (*piece.feeds[:feed], *piece.feeds[feed + 1 :]))
    for index in range(len(nodes)):
        yield from _inlined_branches(piece, index)


def _halving(count: int) -> Iterator[int]:
    """Every index, in an order that tries the middle of what is left first."""
    seen: set[int] = set()
    step = max(count // 2, 1)
    while step:
        for index in range(step - 1, count, step):
            if index not in seen:
                seen.add(index)
                yield index
        step //= 2


def _observed(piece: Piece) -> tuple[dict[str, Array], ...] | None:
    """Every value of the main graph, one mapping per feed; None when they cannot be had."""
    model = _copy(piece.model)
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:
        return None
    known = {v.name for v in model.graph.output}
    types = {v.name: v for v in inferred.graph.value_info}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in known and name in types:
                model.graph.output.append(types[name])
    try:
        runner = plain_runner(import_model(model))
        return tuple({**feed, **runner.run(feed)} for feed in piece.feeds)
    except GraphoptError:
        return None


def _cut_below(piece: Piece, values: tuple[dict[str, Array], ...], index: int) -> Piece:
    """Ends after one node: its results are the outputs."""
    model = _copy(piece.model)
    node = model.graph.node[index]
    del model.graph.output[:]
    for name in node.output:
        if name in values[0]:
            model.graph.output.append(_info(name, values[0][name]))
    return _trimmed(model, piece.feeds)


def _cut_above(piece: Piece, values: tuple[dict[str, Array], ...], node: onnx.NodeProto) -> Piece:
    """Begins after one node: its results are inputs, with their dims named where they vary."""
    model = _copy(piece.model)
    model.graph.node.remove(node)
    made = [name for name in node.output if name in values[0]]
    for name in made:
        model.graph.input.append(_input_info(piece.model, name, values))
    feeds = tuple(
        {**feed, **{name: value[name] for name in made}}
        for feed, value in zip(piece.feeds, values, strict=True)
    )
    return _trimmed(model, feeds)


def _input_info(
    model: onnx.ModelProto, name: str, values: tuple[dict[str, Array], ...]
) -> onnx.ValueInfoProto:
    """Sizes stay sizes; where the feeds differ a dim gets the name inference or the sizes give it."""
    shapes = [value[name].shape for value in values]
    names = {
        tuple(feed_sizes): dim.dim_param
        for value in model.graph.input
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
        if dim.dim_param
        for feed_sizes in [[v[value.name].shape[axis] for v in values]]
    }
    dims: list[int | str] = []
    for axis, size in enumerate(shapes[0]):
        sizes = tuple(shape[axis] for shape in shapes)
        dims.append(
            size if len(set(sizes)) == 1 and sizes not in names else names.get(sizes, f"{name}_{axis}")
        )
    element = onnx.helper.np_dtype_to_tensor_dtype(values[0][name].dtype)
    return onnx.helper.make_tensor_value_info(name, element, dims)


def _bypassed(piece: Piece, values: tuple[dict[str, Array], ...], node: onnx.NodeProto) -> Iterator[Piece]:
    """Readers of a node's first result read one of its inputs instead."""
    sizes = {**_constants(piece.model), **values[0]}
    result = sizes.get(node.output[0]) if node.output else None
    for name in dict.fromkeys(node.input):
        source = sizes.get(name)
        if result is None or source is None:
            continue
        if source.shape != result.shape or source.dtype != result.dtype:
            continue
        model = _copy(piece.model)
        model.graph.node.remove(node)
        if any(value.name == node.output[0] for value in model.graph.output):
            continue
        _rename_reads(model.graph, node.output[0], name)
        yield _trimmed(model, piece.feeds)


def _rename_reads(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
        for body in _bodies(node):
            _rename_reads(body, old, new)


def _without_output(piece: Piece, index: int) -> Piece:
    model = _copy(piece.model)
    del model.graph.output[index]
    return _trimmed(model, piece.feeds)


def _inlined_branches(piece: Piece, index: int) -> Iterator[Piece]:
    """An If as either of its branches."""
    node = piece.model.graph.node[index]
    if node.op_type != "If":
        return
    for body in _bodies(node):
        model = _copy(piece.model)
        del model.graph.node[index]
        taken = [*body.node]
        for name, value in zip(node.output, body.output, strict=True):
            taken.append(onnx.helper.make_node("Identity", [value.name], [name]))
        rest = [*model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend([*rest[:index], *taken, *rest[index:]])
        yield _trimmed(model, piece.feeds)


def _trimmed(model: onnx.ModelProto, feeds: Feeds) -> Piece:
    """Without nodes, constants and inputs that nothing reads."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= _reads(node)
    nodes = [_copy_node(node) for node in reversed(kept)]
    del graph.node[:]
    graph.node.extend(nodes)
    for field in (graph.initializer, graph.input):
        for entry in [*field]:
            if entry.name not in needed:
                field.remove(entry)
    del graph.value_info[:]
    names = {value.name for value in graph.input}
    return Piece(model, tuple({n: a for n, a in feed.items() if n in names} for feed in feeds))


def _reads(node: onnx.NodeProto) -> set[str]:
    inner = {name for body in _bodies(node) for n in body.node for name in _reads(n)}
    results = {value.name for body in _bodies(node) for value in body.output}
    return set(node.input) | inner | results


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    return (a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH)


def _nodes(graph: onnx.GraphProto) -> int:
    return sum(1 + sum(_nodes(body) for body in _bodies(node)) for node in graph.node)


def _constants(model: onnx.ModelProto) -> dict[str, Array]:
    return {t.name: np.asarray(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer}


def _info(name: str, value: Array) -> onnx.ValueInfoProto:
    element = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnx.helper.make_tensor_value_info(name, element, [f"{name}_{i}" for i in range(value.ndim)])


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def _copy_node(node: onnx.NodeProto) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    return made
