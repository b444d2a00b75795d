"""Operations of pooling, normalisation, softmax, reduction, resampling and transforms."""

from __future__ import annotations

from math import ceil, log2, prod

from graphopt.ir.analyses.formulas.call import Call, Formula, Unknown


def per_output(count: int) -> Formula:
    """``count`` operations per element of the first output."""
    return lambda call: count * call.out_size()


def per_input(count: int, index: int = 0) -> Formula:
    """``count`` operations per element of input ``index``."""
    return lambda call: count * call.size(index)


def pool(per_tap: int, finish: int) -> Formula:
    """``per_tap`` per kernel element after the first, ``finish`` per output (a division, a root)."""

    def formula(call: Call) -> int:
        kernel = call.integers("kernel_shape")
        if kernel is None:
            raise Unknown
        return call.out_size() * (per_tap * (prod(kernel) - 1) + finish)

    return formula


def global_pool(per_tap: int, finish: int, channels_last: bool = False) -> Formula:
    """Pooling over every spatial position; (batch, channels) remain."""

    def formula(call: Call) -> int:
        dims = call.dims(0)
        outputs = dims[0] * (dims[-1] if channels_last else dims[1])
        return per_tap * (prod(dims) - outputs) + finish * outputs

    return formula


def reduction(per_element: int, finish: int = 0) -> Formula:
    """``per_element`` per input element, ``finish`` per output element."""
    return lambda call: per_element * call.size(0) + finish * call.out_size()


def local_response(call: Call) -> int:
    """LRN: squares of ``size`` neighbours summed, then scale, offset, power, division."""
    return call.out_size() * (2 * call.integer("size") + 4)


def top_k(call: Call) -> int:
    """Comparisons of a heap of k: n·log2(k + 1)."""
    k = call.scalar(1) if call.has(1) else call.integer("k")
    return call.size(0) * ceil(log2(k + 1)) if k > 0 else 0


def resize(call: Call) -> int:
    """Per output element: 2^d - 1 interpolations of 3 (linear), 4^d taps of 2 (cubic), 0 (nearest)."""
    mode = call.string("mode", "nearest")
    if mode == "nearest":
        return 0
    dims, outputs = call.dims(0), call.out()
    axes = sum(x != y for x, y in zip(dims, outputs, strict=True))
    if axes == 0:
        return 0
    return prod(outputs) * (3 * int(2**axes - 1) if mode == "linear" else 2 * int(4**axes))


def grid_sample(call: Call) -> int:
    """As ``resize`` over every spatial axis; denormalising a coordinate costs 2, shared by the channels."""
    mode, outputs = call.string("mode", "linear"), call.out()
    axes = len(outputs) - 2
    coordinates = 2 * axes * outputs[0] * prod(outputs[2:])
    if mode == "nearest":
        return coordinates
    taps = 2 * int(4**axes) if mode in ("cubic", "bicubic") else 3 * int(2**axes - 1)
    return prod(outputs) * taps + coordinates


def roi_align(call: Call) -> int:
    """ratio² bilinear samples per output element, averaged (or the maximum taken)."""
    ratio = call.integer("sampling_ratio", 0)
    if ratio <= 0:
        raise Unknown
    return call.out_size() * ratio * ratio * 10


def dft(call: Call) -> int:
    """5·N·log2 N per transform, half for real input (the convention of the FFTW benchmarks)."""
    dims, outputs = call.dims(0), call.out()
    axis = call.scalar(2) if call.has(2) else call.integer("axis", len(dims) - 2)
    length = call.scalar(1) if call.has(1) else dims[axis]
    transforms = prod(dims[:-1]) // max(1, dims[axis])
    real = 2 if dims[-1] == 1 or (len(outputs) == len(dims) and outputs[-1] == 1) else 1
    return transforms * _fft(length) // real


def stft(call: Call) -> int:
    """Per frame: the window's product and a transform."""
    outputs, signal = call.out(), call.dims(0)
    length = call.dims(2)[0] if call.has(2) else call.scalar(3)
    real = 2 if len(signal) == 2 or signal[-1] == 1 else 1
    return outputs[0] * outputs[1] * (_fft(length) // real + (length if call.has(2) else 0))


def _fft(length: int) -> int:
    return round(5 * length * log2(length)) if length > 1 else 0


def determinant(call: Call) -> int:
    """LU factorisation: 2/3·n³ per matrix."""
    *batch, rows, _ = call.dims(0)
    return prod(batch) * (2 * rows**3) // 3
