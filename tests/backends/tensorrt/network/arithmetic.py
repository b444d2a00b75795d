"""Layers that compute, as numpy in float64; see ``moves`` for what each function takes and returns."""

from __future__ import annotations

import math

import numpy as np

from tests.backends.tensorrt.network.moves import axes_of
from tests.backends.tensorrt.network.onnx_step import run_operator

_PAIRS = {
    "SUM": np.add,
    "PROD": np.multiply,
    "SUB": np.subtract,
    "MAX": np.maximum,
    "MIN": np.minimum,
    "AND": np.logical_and,
    "OR": np.logical_or,
    "XOR": np.logical_xor,
    "EQUAL": np.equal,
    "GREATER": np.greater,
    "LESS": np.less,
    "POW": np.power,
    "FLOOR_DIV": np.floor_divide,
}


def wide(array):
    """Floats in float64; everything else as it is."""
    return array.astype(np.float64) if array.dtype.kind not in "iub" else array


def erf(array):
    return np.vectorize(math.erf, otypes=[np.float64])(array) if array.size else array


_ONES = {
    "EXP": np.exp,
    "LOG": np.log,
    "SQRT": np.sqrt,
    "RECIP": np.reciprocal,
    "ABS": np.abs,
    "NEG": np.negative,
    "SIN": np.sin,
    "COS": np.cos,
    "TAN": np.tan,
    "SINH": np.sinh,
    "COSH": np.cosh,
    "ASIN": np.arcsin,
    "ACOS": np.arccos,
    "ATAN": np.arctan,
    "ASINH": np.arcsinh,
    "ACOSH": np.arccosh,
    "ATANH": np.arctanh,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "ROUND": np.rint,
    "SIGN": np.sign,
    "NOT": np.logical_not,
    "ISINF": np.isinf,
    "ISNAN": np.isnan,
    "ERF": erf,
}

_ACTIVATIONS = {
    "RELU": lambda x, a, b: np.maximum(x, 0),
    "SIGMOID": lambda x, a, b: 1 / (1 + np.exp(-x)),
    "TANH": lambda x, a, b: np.tanh(x),
    "LEAKY_RELU": lambda x, a, b: np.where(x > 0, x, a * x),
    "ELU": lambda x, a, b: np.where(x > 0, x, a * np.expm1(x)),
    "SELU": lambda x, a, b: b * np.where(x > 0, x, a * np.expm1(x)),
    "SOFTSIGN": lambda x, a, b: x / (1 + np.abs(x)),
    "SOFTPLUS": lambda x, a, b: a * np.logaddexp(0, b * x),
    "CLIP": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "HARD_SIGMOID": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "SCALED_TANH": lambda x, a, b: a * np.tanh(b * x),
    "THRESHOLDED_RELU": lambda x, a, b: np.where(x > a, x, 0),
    "GELU_ERF": lambda x, a, b: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "GELU_TANH": lambda x, a, b: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}

_REDUCTIONS = {"SUM": np.sum, "PROD": np.prod, "MAX": np.max, "MIN": np.min, "AVG": np.mean}


def elementwise(layer, inputs, shape):
    a, b = (wide(array) for array in inputs)
    if layer.op.name != "DIV":
        return _PAIRS[layer.op.name](a, b)
    if a.dtype.kind == "f":
        return a / b
    quotient = np.floor_divide(a, b)  # integers are divided towards zero
    return quotient + ((quotient * b != a) & ((a < 0) != (b < 0)))


def unary(layer, inputs, shape):
    return _ONES[layer.op.name](wide(inputs[0]))


def activation(layer, inputs, shape):
    kind = type(layer).type.__get__(layer).name  # hides the kind of layer
    return _ACTIVATIONS[kind](wide(inputs[0]), layer.alpha, layer.beta)


def reduce(layer, inputs, shape):
    if layer.op.name == "NONE":
        return inputs[0]
    return _REDUCTIONS[layer.op.name](wide(inputs[0]), axis=axes_of(layer.axes), keepdims=layer.keep_dims)


def top_k(layer, inputs, shape):
    array, (axis,) = wide(inputs[0]), axes_of(layer.axes)
    count = int(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else layer.k
    order = np.argsort(-array if layer.op.name == "MAX" else array, axis=axis, kind="stable")
    index = order.take(range(count), axis=axis)
    return [np.take_along_axis(array, index, axis), index]


def matrix_multiply(layer, inputs, shape):
    (a, first), (b, second) = zip(map(wide, inputs), (layer.op0.name, layer.op1.name), strict=True)
    a = np.swapaxes(a, -1, -2) if first == "TRANSPOSE" else a[..., None, :] if first == "VECTOR" else a
    b = np.swapaxes(b, -1, -2) if second == "TRANSPOSE" else b[..., None] if second == "VECTOR" else b
    product = np.matmul(a, b)
    product = product[..., 0, :] if first == "VECTOR" else product
    return product[..., 0] if second == "VECTOR" else product


def softmax(layer, inputs, shape):
    array, axis = wide(inputs[0]), axes_of(layer.axes)
    powers = np.exp(array - array.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def normalization(layer, inputs, shape):
    """Over the axes; with groups, over each group of channels and everything behind them."""
    array, scale, bias = (wide(one) for one in inputs)
    groups, axes, whole = layer.num_groups, axes_of(layer.axes), array.shape
    if groups > 1:
        array = array.reshape(whole[0], groups, -1)
        axes = (2,)
    mean, variance = array.mean(axis=axes, keepdims=True), array.var(axis=axes, keepdims=True)
    array = (array - mean) / np.sqrt(variance + layer.epsilon)
    if groups > 1 and not layer.is_v2:
        return (array * scale.reshape(1, groups, 1) + bias.reshape(1, groups, 1)).reshape(whole)
    return array.reshape(whole) * scale + bias


def scale(layer, inputs, shape):
    array, mode, axis = wide(inputs[0]), layer.mode.name, layer.channel_axis

    def fitted(values, otherwise):
        values = np.asarray(values)
        if not values.size:
            return otherwise
        if mode == "CHANNEL":
            return values.reshape([-1 if other == axis else 1 for other in range(array.ndim)])
        return values.reshape(()) if mode == "UNIFORM" else values.reshape(array.shape[axis:])

    return (array * fitted(layer.scale, 1.0) + fitted(layer.shift, 0.0)) ** fitted(layer.power, 1.0)


def rotary_embedding(layer, inputs, shape):
    """Pairs of the first elements of every head, (batch, head, position, element), turned by an angle."""
    array, cos, sin, positions = [*(wide(one) for one in inputs[:3]), *inputs[3:], None][:4]
    if positions is not None:
        cos, sin = cos[positions.astype(np.int64)], sin[positions.astype(np.int64)]
    size = layer.rotary_embedding_dim or array.shape[-1]
    turned, rest = array[..., :size], array[..., size:]
    cos, sin = (table[:, None, :, : size // 2] for table in (cos, sin))
    if layer.interleaved:
        first, second = turned[..., 0::2], turned[..., 1::2]
        pairs = np.stack([first * cos - second * sin, first * sin + second * cos], -1)
        return np.concatenate([pairs.reshape(turned.shape), rest], -1)
    first, second = turned[..., : size // 2], turned[..., size // 2 :]
    return np.concatenate([first * cos - second * sin, first * sin + second * cos, rest], -1)


def cumulative(layer, inputs, shape):
    flags = {"exclusive": int(layer.exclusive), "reverse": int(layer.reverse)}
    return run_operator("CumSum", [inputs[0], inputs[1].astype(np.int64)], **flags)


def quantize(layer, inputs, shape):
    return np.clip(np.rint(inputs[0].astype(np.float32) / _scales(layer, inputs)), -128, 127)


def dequantize(layer, inputs, shape):
    return inputs[0].astype(np.float32) * _scales(layer, inputs)


def _scales(layer, inputs):
    """The scale of every element: one for all, one per index of an axis, or one per block."""
    array, scales = inputs[0], inputs[1].astype(np.float32)
    if scales.size == 1:
        return scales.reshape(())
    if scales.ndim == 1:
        return scales.reshape([-1 if axis == layer.axis else 1 for axis in range(array.ndim)])
    for axis, (size, blocks) in enumerate(zip(array.shape, scales.shape, strict=True)):
        scales = np.repeat(scales, size // blocks, axis)
    return scales


ARITHMETIC = {
    "ELEMENTWISE": elementwise,
    "UNARY": unary,
    "ACTIVATION": activation,
    "REDUCE": reduce,
    "TOPK": top_k,
    "MATRIX_MULTIPLY": matrix_multiply,
    "EINSUM": lambda layer, inputs, shape: np.einsum(layer.equation, *map(wide, inputs)),
    "SOFTMAX": softmax,
    "NORMALIZATION": normalization,
    "SCALE": scale,
    "PARAMETRIC_RELU": lambda layer, inputs, shape: np.where(inputs[0] > 0, inputs[0], inputs[0] * inputs[1]),
    "ROTARY_EMBEDDING": rotary_embedding,
    "CUMULATIVE": cumulative,
    "QUANTIZE": quantize,
    "DEQUANTIZE": dequantize,
}
