"""Taps of a convolution that only ever meet padding leave its kernel: wide dilations on small maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.backends.native.plan import Program, Step, Value


def drop_padding_taps(program: Program) -> None:
    """Cut every constant kernel down to the taps that meet the input somewhere, in place.

    Only where the input's extent is known; steps are still in ONNX's own layout.
    """
    uses = program.use_counts()
    for step in program.steps:
        for branch in step.programs:
            drop_padding_taps(branch)
        weight = step.inputs[1] if step.op == "conv" else None
        if weight is not None and uses[weight] == 1:
            _cut(step, weight)


def _cut(step: Step, weight: Value) -> None:
    source = step.inputs[0]
    if source is None or source.dims is None or weight.tensor is None or weight.dims is None:
        return
    extents = [dim for dim in source.dims[2:] if isinstance(dim, int)]
    kernel = [dim for dim in weight.dims[2:] if isinstance(dim, int)]
    if len(extents) != len(source.dims) - 2 or step.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        return
    rank = len(kernel)
    strides, dilations = (_integers(step, name, (1,) * rank) for name in ("strides", "dilations"))
    pads = _integers(step, "pads", (0,) * (2 * rank))
    kept = [
        _meeting(extents[i], kernel[i], strides[i], dilations[i], pads[i], pads[i + rank])
        for i in range(rank)
    ]
    sizes = [last - first + 1 for first, last in kept]
    if kernel == sizes:
        return
    begins = [pads[i] - kept[i][0] * dilations[i] for i in range(rank)]
    ends = [pads[i + rank] - (kernel[i] - 1 - kept[i][1]) * dilations[i] for i in range(rank)]
    if min(*begins, *ends) < 0:
        return
    places = (slice(None), slice(None), *(slice(first, last + 1) for first, last in kept))
    array = np.ascontiguousarray(weight.tensor.numpy()[places])
    step.inputs[1] = Value(weight.name, weight.dtype, tuple(array.shape), ir.Tensor(array, name=weight.name))
    step.attributes["pads"] = (*begins, *ends)
    step.attributes.pop("kernel_shape", None)


def _meeting(extent: int, taps: int, stride: int, dilation: int, begin: int, end: int) -> tuple[int, int]:
    """The first and the last tap that meet the input at any position; all of them where none does."""
    positions = (extent + begin + end - (taps - 1) * dilation - 1) // stride + 1
    starts = np.arange(max(positions, 0)) * stride - begin
    reads = (starts + tap * dilation for tap in range(taps))
    met = [tap for tap, places in enumerate(reads) if ((places >= 0) & (places < extent)).any()]
    return (met[0], met[-1]) if met else (0, taps - 1)


def _integers(step: Step, name: str, default: Sequence[int]) -> tuple[int, ...]:
    given = step.attributes.get(name, tuple(default))
    assert isinstance(given, tuple)
    return tuple(int(number) for number in given)
