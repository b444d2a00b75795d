"""Random networks: convolutions, pools, products, norms, tokens, and what fuses into or moves around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, TensorProto
from onnx.helper import make_graph, make_model, make_opsetid, make_tensor_value_info

from tests.backends.native.random_operators.draw import Array
from tests.backends.native.random_operators.layers import IMAGE_PIECES, TOKEN_PIECES, image
from tests.backends.native.random_operators.network import Network

_MOST = 40_000


@dataclass(frozen=True)
class Case:
    """A model and sets of feeds, of one or two sizes."""

    model: ModelProto
    feeds: tuple[dict[str, Array], ...]


def random_network(seed: int) -> Case:
    """The network of a seed: 2 to 12 pieces around an image or two."""
    rng = np.random.default_rng([11, seed])
    b = Network(rng, open_batch=bool(rng.random() < 0.5), open_space=bool(rng.random() < 0.3))
    h, w = (int(v) for v in rng.choice([4, 5, 6, 8, 9], 2))
    n = int(rng.choice([1, 1, 2]))
    for _ in range(int(rng.integers(1, 3))):
        b.values.append(b.input((n, b.one_of((1, 3, 4, 8, 17)), h, w)))
    for _ in range(int(rng.integers(2, 13))):
        x = image(b) if b.chance(0.9) else b.pick(lambda v: len(v.dims) == 3)
        if x is None:
            continue
        pieces = IMAGE_PIECES if len(x.dims) == 4 else TOKEN_PIECES
        before = len(b.nodes), len(b.values), len(b.constants), len(b.inputs)
        y = b.one_of(pieces)(b, x)
        if np.prod(y.dims) > _MOST or min(y.dims) < 1:
            del b.nodes[before[0] :], b.values[before[1] :]
            del b.constants[before[2] :], b.inputs[before[3] :], b.declared[before[3] :]
            continue
        b.values.append(y)
    return Case(_model(b), _feeds(b))


def _model(b: Network) -> ModelProto:
    made = b.values[1:] if len(b.values) > 1 else b.values
    outputs = {b.values[-1].name: b.values[-1]}
    for value in made:
        if b.chance(0.15):
            outputs[value.name] = value
    ranks = {name: [None] * len(value.dims) for name, value in outputs.items()}
    infos = [make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in ranks.items()]
    graph = make_graph(b.nodes, "g", b.declared, infos, b.constants)
    return make_model(graph, opset_imports=[make_opsetid("", 23)], ir_version=10)


def _feeds(b: Network) -> tuple[dict[str, Array], ...]:
    sets = []
    for sizes in ({}, {"N": 3, "H": 7, "W": 10}):
        feed = {}
        for value, info in zip(b.inputs, b.declared, strict=True):
            dims = [
                sizes.get(d.dim_param, n)
                for d, n in zip(info.type.tensor_type.shape.dim, value.dims, strict=True)
            ]
            feed[value.name] = np.asarray(b.rng.standard_normal(dims), np.float32)
        sets.append(feed)
    return tuple(sets)
