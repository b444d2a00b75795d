"""Seeded weights for the models of the onnx wheel, whose own are all one constant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

_NEUTRAL = {1: 1.0, 2: 0.0, 3: 0.0, 4: 1.0}
"""Operand of BatchNormalization → the value with which it changes nothing: scale, bias, mean, variance."""

_RESIDUAL = 0.5
"""Scale of what is added to a residual stream: with 1 its variance doubles at every block."""


def write_seeded(model: Path, target: Path, seed: int = 0) -> None:
    """Write a copy of a light model with He-normal weights, in which no branch is dead or constant.

    Weights of convolutions and products are drawn with variance 2 / (inputs of one output), as He et al.
    (2015) give it for networks of ReLUs; biases are 0 and normalisations change nothing.

    Args:
        model: whose weights are ConstantOfShape nodes over shapes that are initializers.
        target: the file to write.
        seed: of the weights.
    """
    proto = onnx.load(model)
    graph = proto.graph
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    rng = np.random.default_rng(seed)
    summed = {name for node in graph.node if node.op_type == "Sum" for name in node.input}
    neutral: dict[str, float] = {}
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            neutral |= {node.input[position]: value for position, value in _NEUTRAL.items()}
            if node.output[0] in summed:
                neutral[node.input[1]] = _RESIDUAL
    made, kept = [], []
    for node in graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        dims = tuple(int(dim) for dim in shapes[node.input[0]])
        weight = _weight(dims, neutral.get(node.output[0]), rng)
        made.append(numpy_helper.from_array(weight, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    read = {name for node in kept for name in node.input}
    others = [tensor for tensor in graph.initializer if tensor.name in read]
    inputs = [value for value in graph.input if value.name in read - {t.name for t in others}]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(others)
    graph.input.extend(inputs)
    graph.initializer.extend(made)
    onnx.save(proto, target)


def _weight(dims: tuple[int, ...], fill: float | None, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    if fill is not None:
        return np.full(dims, fill, np.float32)
    if len(dims) < 2:
        return np.zeros(dims, np.float32)
    # [outputs, inputs, …] for convolutions and for Gemm with transB, which these models use.
    deviation = np.sqrt(2.0 / np.prod(dims[1:]))
    return rng.normal(0.0, deviation, dims).astype(np.float32)
