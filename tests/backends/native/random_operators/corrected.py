"""Operators that onnx.reference lacks or gets wrong, written out from the text of the standard."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from tests.backends.native.random_operators.draw import Array


class Erf(OpRun):
    """onnx.reference rounds to float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype),)


class Gelu(OpRun):
    """The constants of ONNX's function are rounded to float32."""

    op_domain = ""

    def _run(self, x: Array, approximate: str) -> tuple[Array]:
        if approximate == "tanh":
            inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        else:
            inner = np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2))
        return ((0.5 * x * (1 + inner)).astype(x.dtype),)


class OneHot(OpRun):
    """onnx.reference takes the depth as a number only."""

    op_domain = ""

    def _run(self, indices: Array, depth: Array, values: Array, axis: int) -> tuple[Array]:
        count = int(np.asarray(depth).reshape(()))
        axis %= indices.ndim + 1
        places = np.where(indices < 0, indices + count, indices).astype(np.int64)
        hot = np.expand_dims(places, axis) == np.arange(count).reshape([-1, *[1] * (indices.ndim - axis)])
        return (np.where(hot, values[1], values[0]).astype(values.dtype),)


class Mean(OpRun):
    """onnx.reference does not broadcast."""

    op_domain = ""

    def _run(self, *terms: Array) -> tuple[Array]:
        return (np.asarray(sum(terms[1:], terms[0]) / len(terms)).astype(terms[0].dtype),)


class LRN(OpRun):
    """onnx.reference walks over the batch instead of the channels."""

    op_domain = ""

    def _run(self, x: Array, alpha: float, beta: float, bias: float, size: int) -> tuple[Array]:
        squares = np.zeros_like(x)
        for c in range(x.shape[1]):
            window = x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1]
            squares[:, c] = (window**2).sum(1)
        return (x / (bias + alpha / size * squares) ** beta,)


class LpNormalization(OpRun):
    """onnx.reference takes the norm of everything."""

    op_domain = ""

    def _run(self, x: Array, axis: int, p: int) -> tuple[Array]:
        norm = np.linalg.norm(x, ord=p, axis=axis, keepdims=True)
        return (np.divide(x, norm, out=np.zeros_like(x), where=norm != 0),)


class GlobalMaxPool(OpRun):
    """onnx.reference drops dims."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class GlobalLpPool(OpRun):
    """onnx.reference has none."""

    op_domain = ""

    def _run(self, x: Array, p: int) -> tuple[Array]:
        total = (np.abs(x) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True)
        return (total ** (1 / p),)


_Function = Callable[[Array], Array]


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _activation(name: str, alpha: float | None, beta: float | None) -> _Function:
    def given(value: float | None, otherwise: float) -> float:
        return otherwise if value is None else value

    match name:
        case "Affine":
            return lambda x: given(alpha, 1.0) * x + given(beta, 0.0)
        case "Elu":
            return lambda x: np.where(x < 0, given(alpha, 1.0) * np.expm1(x), x)
        case "HardSigmoid":
            return lambda x: np.clip(given(alpha, 0.2) * x + given(beta, 0.5), 0, 1)
        case "LeakyRelu":
            return lambda x: np.where(x < 0, given(alpha, 0.01) * x, x)
        case "Relu":
            return lambda x: np.maximum(x, 0)
        case "ScaledTanh":
            return lambda x: given(alpha, 1.0) * np.tanh(given(beta, 1.0) * x)
        case "Sigmoid":
            return _sigmoid
        case "Softplus":
            return lambda x: np.log1p(np.exp(x))
        case "Softsign":
            return lambda x: x / (1 + np.abs(x))
        case "Tanh":
            return np.tanh
        case "ThresholdedRelu":
            return lambda x: np.where(x > given(alpha, 1.0), x, 0)
    raise ValueError(name)


class _Recurrent(OpRun):
    """onnx.reference knows one direction, no lengths, no clip, and one set of activations."""

    op_domain = ""
    defaults: tuple[str, ...] = ()
    gates = 0
    states = 1

    def _run(
        self, x: Array, w: Array, r: Array, *operands: Array | None, **attributes: Any
    ) -> tuple[Array, ...]:
        bias, lengths, *state = (*operands, *[None] * 5)[:5]
        ways, hidden = w.shape[0], r.shape[-1]
        layout = attributes.get("layout") or 0
        if layout:
            x = x.swapaxes(0, 1)
            state[: self.states] = [None if s is None else s.swapaxes(0, 1) for s in state[: self.states]]
        steps, batch, _ = x.shape
        bias = np.zeros((ways, 2 * self.gates * hidden)) if bias is None else bias
        lengths = np.full(batch, steps) if lengths is None else lengths
        peephole = state[2] if self.states == 2 and state[2] is not None else np.zeros((ways, 3 * hidden))
        first = [np.zeros((ways, batch, hidden)) if s is None else s for s in state[: self.states]]
        y = np.zeros((steps, ways, batch, hidden))
        last = [np.zeros_like(s) for s in first]  # what a row of no steps leaves, as ONNX Runtime has it
        direction = attributes.get("direction") or "forward"
        functions = self._functions(attributes, ways)
        for way in range(ways):
            backwards = direction == "reverse" or way == 1
            for b in range(batch):
                h = [s[way, b] for s in first]
                times = range(int(lengths[b]))
                for t in reversed(times) if backwards else times:
                    h = self.cell(
                        x[t, b], h, w[way], r[way], bias[way], peephole[way], functions[way], attributes
                    )
                    y[t, way, b] = h[0]
                if lengths[b]:
                    for index, value in enumerate(h):
                        last[index][way, b] = value
        if layout:
            y, last = y.transpose(2, 0, 1, 3), [s.swapaxes(0, 1) for s in last]
        return (y, *last)

    def _functions(self, attributes: dict[str, Any], ways: int) -> list[list[_Function]]:
        names = list(attributes.get("activations") or self.defaults * ways)
        per_way = len(self.defaults)
        alphas, betas = (
            [*(attributes.get(f"activation_{name}") or ()), *[None] * len(names)]
            for name in ("alpha", "beta")
        )
        limit = attributes.get("clip") or 0.0

        def clipped(function: _Function) -> _Function:
            return (lambda x: function(np.clip(x, -limit, limit))) if limit else function

        made = [_activation(n, a, b) for n, a, b in zip(names, alphas, betas, strict=False)]
        # An LSTM's last one sees the memory, which is no sum of products: nobody clips it.
        made = [f if i % per_way == 2 else clipped(f) for i, f in enumerate(made)]
        return [made[way * per_way : (way + 1) * per_way] for way in range(ways)]

    def cell(
        self, x: Array, h: list[Array], w: Array, r: Array, bias: Array, peephole: Array,
        functions: list[_Function], attributes: dict[str, Any],
    ) -> list[Array]:  # fmt: skip
        """The next state."""
        raise NotImplementedError


class RNN(_Recurrent):
    """h' = f(W·x + R·h + b)."""

    defaults = ("Tanh",)
    gates = 1

    def cell(self, x, h, w, r, bias, peephole, functions, attributes):  # type: ignore[no-untyped-def]
        own, back = np.split(bias, 2)
        return [functions[0](w @ x + r @ h[0] + own + back)]


class GRU(_Recurrent):
    """The gates z, r and the candidate, in that order."""

    defaults = ("Sigmoid", "Tanh")
    gates = 3

    def cell(self, x, h, w, r, bias, peephole, functions, attributes):  # type: ignore[no-untyped-def]
        f, g = functions
        wz, wr, wh = np.split(w, 3)
        rz, rr, rh = np.split(r, 3)
        bz, br, bh, cz, cr, ch = np.split(bias, 6)
        state = h[0]
        z = f(wz @ x + rz @ state + bz + cz)
        reset = f(wr @ x + rr @ state + br + cr)
        if attributes.get("linear_before_reset"):
            new = g(wh @ x + reset * (rh @ state + ch) + bh)
        else:
            new = g(wh @ x + rh @ (reset * state) + ch + bh)
        return [(1 - z) * new + z * state]


class LSTM(_Recurrent):
    """The gates i, o, f and the candidate c, in that order."""

    defaults = ("Sigmoid", "Tanh", "Tanh")
    gates = 4
    states = 2

    def cell(self, x, h, w, r, bias, peephole, functions, attributes):  # type: ignore[no-untyped-def]
        f, g, last = functions
        state, memory = h
        own, back = np.split(bias, 2)
        i, o, forget, c = np.split(w @ x + r @ state + own + back, 4)
        pi, po, pf = np.split(peephole, 3)
        i = f(i + pi * memory)
        forget = 1 - i if attributes.get("input_forget") else f(forget + pf * memory)
        memory = forget * memory + i * g(c)
        return [f(o + po * memory) * last(memory), memory]


CORRECTED = (Erf, GRU, Gelu, GlobalLpPool, GlobalMaxPool, LRN, LSTM, LpNormalization, Mean, OneHot, RNN)
