"""Layers that make, move and choose elements, as numpy.

Each function takes the layer, the arrays at its inputs (None where there is none) and its output's shape
(None unless all of it is known), and returns the array at its output, or a list of them.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.backends.tensorrt.network.onnx_step import run_operator
from tests.backends.tensorrt.network.unsupported import Unsupported


def numbers(array):
    """The elements of a small integer array as a list."""
    return [int(value) for value in np.ravel(array)]


def axes_of(mask):
    """The axes in a bit mask."""
    return tuple(axis for axis in range(16) if mask >> axis & 1)


def constant(layer, inputs, shape):
    weights = layer.weights
    if not isinstance(weights, np.ndarray):
        raise Unsupported("weights that numpy has no dtype for")
    return weights.reshape(tuple(layer.shape)).copy()  # the parser owns the bytes


def shuffle(layer, inputs, shape):
    array, target = inputs[0], inputs[1] if len(inputs) > 1 else None
    array = array.transpose(list(layer.first_transpose)[: array.ndim])
    second = list(layer.second_transpose)[: len(layer.get_output(0).shape)]
    if target is not None:
        sizes = numbers(target)
    elif shape is not None:
        sizes = [shape[second.index(axis)] for axis in range(len(second))]
        return array.reshape(sizes).transpose(second)
    else:
        sizes = list(array.shape) if layer.reshape_dims is None else list(layer.reshape_dims)
    if layer.zero_is_placeholder:
        sizes = [array.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return array.reshape(sizes).transpose(second)


def squeeze(layer, inputs, shape):
    return np.squeeze(inputs[0], tuple(numbers(inputs[1])) if len(inputs) > 1 else None)


def unsqueeze(layer, inputs, shape):
    return np.expand_dims(inputs[0], tuple(numbers(inputs[1])))


def slice_(layer, inputs, shape):
    array, *rest = inputs
    start, size, step, fill, axes = [*rest, None, None, None, None, None][:5]
    starts = numbers(start) if start is not None else list(layer.start)
    sizes = numbers(size) if size is not None else list(layer.shape)
    steps = numbers(step) if step is not None else list(layer.stride)
    chosen = numbers(axes) if axes is not None else list(layer.axes or range(array.ndim))
    for axis, first, count, stride in zip(chosen, starts, sizes, steps, strict=True):
        array = _along(array, axis % array.ndim, first + np.arange(count) * stride, layer.mode.name, fill)
    return array


def _along(array, axis, index, mode, fill):
    """Elements of one axis, where an index beyond it means what the mode says."""
    size = array.shape[axis]
    inside = (index >= 0) & (index < size)
    if mode == "STRICT_BOUNDS":
        assert inside.all(), "a slice leaves its array"
    elif mode == "WRAP":
        index = index % size
    elif mode == "CLAMP":
        index = np.clip(index, 0, size - 1)
    elif mode == "REFLECT":
        index = np.abs(index) % max(2 * (size - 1), 1)
        index = np.minimum(index, 2 * (size - 1) - index)
    elif mode == "FILL":
        value = np.zeros((), array.dtype) if fill is None else fill.astype(array.dtype).reshape(())
        around = [1 if other != axis else -1 for other in range(array.ndim)]
        padded = np.concatenate([array, np.zeros_like(array, shape=_one_along(array.shape, axis))], axis)
        taken = np.take(padded, np.where(inside, index, size), axis)
        return np.where(inside.reshape(around), taken, value)
    return np.take(array, index, axis)


def _one_along(shape, axis):
    return tuple(1 if other == axis else size for other, size in enumerate(shape))


def concatenation(layer, inputs, shape):
    return np.concatenate(inputs, layer.axis)


def gather(layer, inputs, shape):
    array, index = inputs[0], inputs[1].astype(np.int64)
    if layer.mode.name == "ELEMENT":
        return run_operator("GatherElements", [array, index], axis=layer.axis)
    if layer.mode.name == "ND":
        return run_operator("GatherND", [array, index], batch_dims=layer.num_elementwise_dims)
    if layer.num_elementwise_dims:
        raise Unsupported("a gather with batch dims")
    return np.take(array, index, layer.axis)


def scatter(layer, inputs, shape):
    array, index, updates = inputs[0], inputs[1].astype(np.int64), inputs[2]
    if layer.mode.name == "ND":
        return run_operator("ScatterND", [array, index, updates])
    return run_operator("ScatterElements", [array, index, updates], axis=layer.axis)


def one_hot(layer, inputs, shape):
    index, values, depth = inputs
    depth = depth.astype(np.int64).reshape(1)
    return run_operator("OneHot", [index.astype(np.int64), depth, values.astype(np.float32)], axis=layer.axis)


def fill(layer, inputs, shape):
    if layer.operation.name != "LINSPACE":
        raise Unsupported("random numbers")
    size, start, step = [*inputs, None, None, None][:3]
    sizes = numbers(size) if size is not None else list(layer.shape)
    start = np.asarray(layer.alpha if start is None else start).reshape(())
    steps = np.ravel(layer.beta if step is None else step)
    return start + sum(s * axis for s, axis in zip(steps, np.indices(sizes), strict=True))


def padding(layer, inputs, shape):
    array, before, after = inputs[0], list(layer.pre_padding_nd), list(layer.post_padding_nd)
    widths = [(0, 0)] * (array.ndim - len(before)) + list(zip(before, after, strict=True))
    array = np.pad(array, [(max(a, 0), max(b, 0)) for a, b in widths])
    return array[tuple(slice(-a if a < 0 else None, b if b < 0 else None) for a, b in widths)]


def reverse_sequence(layer, inputs, shape):
    if inputs[0].dtype == ml_dtypes.bfloat16:
        raise Unsupported("sequences of bfloat16")
    axes = {"batch_axis": layer.batch_axis, "time_axis": layer.sequence_axis}
    return run_operator("ReverseSequence", [inputs[0], inputs[1].astype(np.int64)], **axes)


MOVES = {
    "CONSTANT": constant,
    "IDENTITY": lambda layer, inputs, shape: inputs[0],
    "CAST": lambda layer, inputs, shape: inputs[0],
    "SHAPE": lambda layer, inputs, shape: np.array(inputs[0].shape),
    "SELECT": lambda layer, inputs, shape: np.where(*inputs),
    "SHUFFLE": shuffle,
    "SQUEEZE": squeeze,
    "UNSQUEEZE": unsqueeze,
    "SLICE": slice_,
    "CONCATENATION": concatenation,
    "GATHER": gather,
    "SCATTER": scatter,
    "ONE_HOT": one_hot,
    "FILL": fill,
    "PADDING": padding,
    "REVERSE_SEQUENCE": reverse_sequence,
}
