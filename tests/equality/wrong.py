"""Deliberately wrong rewrites of real models, and the means to make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.pass_base import Pass


def constants(model: ir.Model) -> Iterator[tuple[ir.Node | ir.Value, np.ndarray]]:
    """Every float constant with what holds it: a Constant node or an initializer."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            if value.const_value is not None and value.dtype == ir.DataType.FLOAT:
                yield value, value.const_value.numpy()
        for node in graph:
            if node.op_type == "Constant" and "value" in node.attributes:
                tensor = node.attributes["value"].as_tensor()
                if tensor.dtype == ir.DataType.FLOAT:
                    yield node, tensor.numpy()


def put(holder: ir.Node | ir.Value, array: np.ndarray) -> None:
    tensor = ir.tensor(array.astype(np.float32))
    if isinstance(holder, ir.Node):
        holder.attributes["value"] = ir.AttrTensor("value", tensor)
    else:
        holder.const_value = tensor


def replace_scalar(model: ir.Model, old: float, new: float) -> bool:
    """Every scalar constant equal to ``old`` in float32 becomes ``new``."""
    found = [(h, a) for h, a in constants(model) if a.size == 1 and a.reshape(-1)[0] == np.float32(old)]
    for holder, array in found:
        put(holder, np.full(array.shape, new))
    return bool(found)


def cut_root(model: ir.Model) -> bool:
    return replace_scalar(model, float(np.sqrt(2)), 1.4142)


def change_epsilon(model: ir.Model) -> bool:
    changed = replace_scalar(model, 1e-12, 1e-5)
    for node in model.graph:
        if node.op_type == "LayerNormalization" and node.attributes["epsilon"].as_float() < 1e-11:
            node.attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-5)
            changed = True
    return changed


def scale_matrix(model: ir.Model) -> bool:
    """The middle one of the matrices, times 1.0001."""
    found = [(h, a) for h, a in constants(model) if a.ndim == 2 and min(a.shape) >= 64]
    holder, array = found[len(found) // 2]
    put(holder, array * np.float32(1.0001))
    return True


def drop_mask(model: ir.Model) -> bool:
    """Attention scores lose the addition of the mask: Add → Softmax becomes Softmax."""
    changed = False
    for node in list(model.graph):
        add = node.inputs[0].producer() if node.op_type == "Softmax" and node.inputs[0] else None
        if add is None or add.op_type != "Add":
            continue
        scores = next(v for v in add.inputs if v.producer() and v.producer().op_type in ("Div", "MatMul"))
        node.replace_input_with(0, scores)
        changed = True
    return changed


def swap_outputs(model: ir.Model) -> bool:
    """The first two outputs of one dtype and rank exchange what they return, not their names."""
    outputs = model.graph.outputs
    ranks = [(v.dtype, None if v.shape is None else len(v.shape)) for v in outputs]
    pairs = [(i, j) for i in range(len(ranks)) for j in range(i + 1, len(ranks)) if ranks[i] == ranks[j]]
    if not pairs:
        return False
    i, j = pairs[0]
    a, b = outputs[i], outputs[j]
    first, second = a.name, b.name
    a.name = "between"
    a.name, b.name = second, first
    outputs[i], outputs[j] = b, a
    return True


@dataclass(frozen=True)
class CutRoot(Pass):
    """√2 becomes 1.4142."""

    def run(self, model: ir.Model, ctx: object) -> bool:
        return cut_root(model)


@dataclass(frozen=True)
class DropMask(Pass):
    """Attention looks at padding."""

    def run(self, model: ir.Model, ctx: object) -> bool:
        return drop_mask(model)


@dataclass(frozen=True)
class ChangeEpsilon(Pass):
    """1e-12 becomes 1e-5."""

    def run(self, model: ir.Model, ctx: object) -> bool:
        return change_epsilon(model)


@dataclass(frozen=True)
class ScaleMatrix(Pass):
    """A weight matrix is scaled by 1.0001."""

    def run(self, model: ir.Model, ctx: object) -> bool:
        return scale_matrix(model)


@dataclass(frozen=True)
class SwapOutputs(Pass):
    """Two outputs exchange their values."""

    def run(self, model: ir.Model, ctx: object) -> bool:
        return swap_outputs(model)


WRONG: dict[str, Callable[[ir.Model], bool]] = {
    "dropped mask": drop_mask,
    "cut root": cut_root,
    "changed epsilon": change_epsilon,
    "scaled matrix": scale_matrix,
}
