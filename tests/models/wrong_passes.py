"""Rewrites of bert_minilm_l3 that a careless optimiser makes: each changes the answer a little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


def _scalar(value: ir.Value | None) -> float | None:
    if value is None or value.const_value is None or value.const_value.size != 1:
        return None
    return float(value.const_value.numpy().reshape(()))


def _replace_scalar(model: ir.Model, node: ir.Node, index: int, number: float) -> None:
    old = node.inputs[index]
    assert old is not None
    assert old.const_value is not None
    array = np.full(tuple(old.const_value.shape.numpy()), number, old.const_value.dtype.numpy())
    name = f"{old.name}_{node.name}_changed"
    fresh = ir.Value(name=name, type=old.type, shape=old.shape, const_value=ir.tensor(array, name=name))
    model.graph.register_initializer(fresh)
    node.replace_input_with(index, fresh)


def _change_scalars(model: ir.Model, op: str, wanted: Callable[[ir.Node, float], bool], number: float) -> int:
    changed = 0
    for node in list(model.graph):
        if node.op_type != op:
            continue
        for index, value in enumerate(node.inputs):
            found = _scalar(value)
            if found is not None and wanted(node, found):
                _replace_scalar(model, node, index, number)
                changed += 1
    return changed


@dataclass(frozen=True)
class DropTheMask(Pass):
    """Takes the additive attention mask for a bias of zero."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        changed = 0
        for node in list(model.graph):
            add = node.inputs[0].producer() if node.op_type == "Softmax" and node.inputs[0] else None
            if add is not None and add.op_type == "Add":
                node.replace_input_with(0, add.inputs[0])
                changed += 1
        assert changed == 3
        return True


@dataclass(frozen=True)
class CutTheRootOfTwo(Pass):
    """Writes √2 with five digits in GELU."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        assert _change_scalars(model, "Div", lambda _, c: abs(c - 2**0.5) < 1e-4, 1.4142) == 3
        return True


@dataclass(frozen=True)
class ChangeTheEpsilon(Pass):
    """Gives every LayerNorm the default ε."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        norms = [node for node in model.graph if node.op_type == "LayerNormalization"]
        for node in norms:
            assert node.attributes["epsilon"].as_float() < 1e-6
            node.attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-5)
        assert len(norms) == 7
        return True


@dataclass(frozen=True)
class ScaleAWeight(Pass):
    """Scales one weight matrix by 1.0001."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        weights = [
            weight
            for weight in (node.inputs[1] for node in model.graph if node.op_type == "MatMul")
            if weight is not None and weight.const_value is not None
        ]
        weight = weights[len(weights) // 2]
        tensor = weight.const_value
        assert tensor is not None
        weight.const_value = ir.tensor(tensor.numpy() * np.float32(1.0001), name=weight.name)
        return True


@dataclass(frozen=True)
class SwapTwoOutputs(Pass):
    """Exchanges what two outputs of one shape hold; their names stay where they were."""

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        first, second = (value.producer() for value in model.graph.outputs[:2])
        assert first is not None
        assert second is not None
        tokens, mask = first.inputs[0], second.inputs[0]
        first.replace_input_with(0, mask)
        second.replace_input_with(0, tokens)
        return True


ALL_WRONG = (DropTheMask, CutTheRootOfTwo, ChangeTheEpsilon, ScaleAWeight, SwapTwoOutputs)
