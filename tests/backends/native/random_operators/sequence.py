"""Attention, rotary embeddings, recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.backends.native.random_operators.draw import BOOL, Bound, Case, Draw, Operand, data
from tests.backends.native.random_operators.pointwise import Make

_LONG = Bound(ulps=64, of_largest=200)
"""Sums of products of softmaxes; recurrences over a handful of steps."""


def _attention(d: Draw) -> Case:
    batch, kv = d.size(least=1, most=3), d.one_of((1, 2, 3))
    heads = kv * d.one_of((1, 1, 2, 4))
    s, size = d.size(least=1, most=33), d.size(least=1, most=65)
    past = d.size(least=1, most=17) if d.chance(0.3) else 0
    keys = s if d.chance() else d.size(least=1, most=65)
    v_size = size if d.chance(0.7) else d.size(least=1, most=33)
    flat = d.chance(0.4)
    attributes: dict[str, Any] = {}

    def tensor(count: int, length: int, width: int) -> Operand:
        dims = (batch, length, count * width) if flat else (batch, count, length, width)
        return data(d.tame(dims, scale=0.7))

    if flat:
        attributes |= {"q_num_heads": heads, "kv_num_heads": kv}
    operands: list[Operand | None] = [
        tensor(heads, s, size),
        tensor(kv, keys, size),
        tensor(kv, keys, v_size),
    ]
    total = past + keys
    mask: Operand | None = None
    if d.chance(0.5):
        outer = d.one_of(((), (), (1, 1), (batch, 1), (1, heads), (batch, heads)))
        dims = (*outer, s, total)
        if d.chance():
            m = d.numbers(dims, BOOL)
            m[..., 0] = True  # a row of nothing is up to each
            mask = data(m)
        else:
            mask = data(d.tame(dims))
    if d.chance(0.3):
        attributes["is_causal"] = 1
    if d.chance(0.3):
        attributes["scale"] = 0.2
    if d.chance(0.25):
        attributes["softcap"] = d.one_of((2.0, 0.5))
    outputs: tuple[int, ...] = (1,)
    if past:
        pasts = [data(d.tame((batch, kv, past, n), scale=0.7)) for n in (size, v_size)]
        operands += [mask, *pasts]
        outputs = (1, 1, 1)
    elif mask is not None:
        operands.append(mask)
    if d.chance(0.15):
        attributes["qk_matmul_output_mode"] = d.number(0, 3)
        outputs = (1, 1, 1, 1) if past else (1, 0, 0, 1)
    opset = d.one_of((23, 24))
    if opset == 24 and not past and mask is not None and d.chance(0.3):
        operands += [None, None, Operand(d.integers((batch,), 1, total))]
    return Case("Attention", operands, attributes, _LONG, outputs, opset=opset)


def _rotary_embedding(d: Draw) -> Case:
    batch, s, heads = d.size(least=1, most=3), d.size(least=1, most=17), d.size(least=1, most=5)
    size = 2 * d.size(least=1, most=33)
    rotated = size if d.chance(0.7) else 2 * d.number(1, max(1, size // 2))
    rotated = min(rotated, size)
    attributes: dict[str, Any] = {"interleaved": d.number(0, 1)} if d.chance(0.7) else {}
    if rotated != size:
        attributes["rotary_embedding_dim"] = rotated
    flat = d.chance()
    if flat:
        attributes["num_heads"] = heads
    x = d.tame((batch, s, heads * size) if flat else (batch, heads, s, size))
    if d.chance(0.7):
        rows = s + d.number(0, 5)
        caches = [data(d.tame((rows, rotated // 2))) for _ in range(2)]
        positions = [data(d.integers((batch, s), 0, rows - 1))]
    else:
        caches, positions = [data(d.tame((batch, s, rotated // 2))) for _ in range(2)], []
    return Case("RotaryEmbedding", [data(x), *caches, *positions], attributes, Bound(ulps=4, of_largest=4))


_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_ACTIVATIONS = (
    "Relu",
    "Tanh",
    "Sigmoid",
    "LeakyRelu",
    "HardSigmoid",
    "Elu",
    "Softsign",
    "Softplus",
    "Affine",
    "ThresholdedRelu",
    "ScaledTanh",
)
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


def _recurrent(op: str) -> Make:
    def make(d: Draw) -> Case:
        gates = _GATES[op]
        unusual = d.chance(0.12)  # activations of which some grow without bound: over a step or two only
        s, batch, hidden = (
            d.size(least=1, most=2 if unusual else 8),
            d.size(least=1, most=5),
            d.size(least=1, most=33),
        )
        inputs = d.size(least=1, most=33)
        direction = d.one_of(("forward", "reverse", "bidirectional"))
        ways = 2 if direction == "bidirectional" else 1
        scale = 0.5 / max(inputs, hidden) ** 0.5
        attributes: dict[str, Any] = {"hidden_size": hidden}
        if direction != "forward" or d.chance():
            attributes["direction"] = direction
        swap = d.chance(0.25)
        if swap:
            attributes["layout"] = 1
        if d.chance(0.25):
            attributes["clip"] = d.one_of((0.5, 2.0))
        if unusual or d.chance(0.12):
            names = [d.one_of(_ACTIVATIONS) for _ in _DEFAULTS[op]] if unusual else list(_DEFAULTS[op])
            attributes["activations"] = names * ways
            if any(n in ("Affine", "ScaledTanh") for n in names):
                attributes["activation_alpha"] = [0.7] * len(names) * ways
                attributes["activation_beta"] = [0.3] * len(names) * ways
        if op == "GRU" and d.chance():
            attributes["linear_before_reset"] = d.number(0, 1)
        if op == "LSTM" and d.chance(0.2):
            attributes["input_forget"] = d.number(0, 1)
        x = d.tame((batch, s, inputs) if swap else (s, batch, inputs))
        operands: list[Operand | None] = [
            data(x),
            data(d.tame((ways, gates * hidden, inputs), scale=scale)),
            data(d.tame((ways, gates * hidden, hidden), scale=scale)),
            data(d.tame((ways, 2 * gates * hidden))) if d.chance(0.7) else None,
            data(d.integers((batch,), 0 if d.chance(0.3) else 1, s, np.dtype(np.int32)))
            if d.chance(0.4)
            else None,
        ]
        state = (batch, ways, hidden) if swap else (ways, batch, hidden)
        operands.append(data(d.tame(state)) if d.chance() else None)
        if op == "LSTM":
            operands.append(data(d.tame(state)) if d.chance() else None)
            operands.append(data(d.tame((ways, 3 * hidden))) if d.chance(0.4) else None)
        while operands[-1] is None:
            operands.pop()
        outputs = d.one_of(
            ((1, 1), (1,), (0, 1)) if op != "LSTM" else ((1, 1, 1), (1,), (0, 1, 1), (0, 0, 1))
        )
        return Case(op, operands, attributes, _LONG, outputs, opset=d.one_of((14, 22)))

    return make


SEQUENCE: dict[str, Make] = {
    "Attention": _attention,
    "RotaryEmbedding": _rotary_embedding,
    **{op: _recurrent(op) for op in _GATES},
}
