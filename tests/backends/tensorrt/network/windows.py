"""Layers that slide over images; see ``moves`` for what each function takes and returns."""

from __future__ import annotations

import numpy as np

from tests.backends.tensorrt.network.onnx_step import run_operator
from tests.backends.tensorrt.network.unsupported import Unsupported

_COORDINATES = {"ALIGN_CORNERS": "align_corners", "ASYMMETRIC": "asymmetric", "HALF_PIXEL": "half_pixel"}
_ROUNDING = {
    "HALF_UP": "round_prefer_ceil",
    "HALF_DOWN": "round_prefer_floor",
    "FLOOR": "floor",
    "CEIL": "ceil",
}
_BEYOND = {"FILL": "zeros", "CLAMP": "border", "REFLECT": "reflection"}


def convolution(layer, inputs, shape):
    return _convolve(layer, inputs, "Conv")


def deconvolution(layer, inputs, shape):
    return _convolve(layer, inputs, "ConvTranspose")


def _convolve(layer, inputs, op_type):
    image, kernel, bias = [*inputs, None, None][:3]
    channels, kernel_size = image.shape[1], tuple(layer.kernel_size_nd)
    if kernel is None:
        rows, columns = layer.num_output_maps, channels // layer.num_groups
        if op_type == "ConvTranspose":
            rows, columns = channels, layer.num_output_maps // layer.num_groups
        kernel = np.asarray(layer.kernel).reshape(rows, columns, *kernel_size)
    if bias is None and np.asarray(layer.bias).size:
        bias = np.asarray(layer.bias)
    arrays = [None if array is None else array.astype(np.float32) for array in (image, kernel, bias)]
    settings = {"strides": tuple(layer.stride_nd), "dilations": tuple(layer.dilation_nd)}
    settings |= {"group": layer.num_groups, "kernel_shape": kernel.shape[2:], **_pads(layer)}
    if min(settings.get("pads", (0,))) < 0:
        return _with_more_at_the_end(op_type, arrays, settings)
    return run_operator(op_type, arrays, **settings)


def _with_more_at_the_end(op_type, arrays, settings):
    """A transposed convolution whose output padding is written as negative padding."""
    pads = settings["pads"]
    half = len(pads) // 2
    result = run_operator(op_type, arrays, **settings | {"pads": tuple(max(pad, 0) for pad in pads)})
    more = [(max(-pads[axis], 0), max(-pads[axis + half], 0)) for axis in range(half)]
    return np.pad(result, [(0, 0), (0, 0), *more])


def _pads(layer):
    mode = layer.padding_mode.name
    if mode.startswith("SAME"):
        return {"auto_pad": mode}
    return {"pads": (*layer.pre_padding, *layer.post_padding)}


def pooling(layer, inputs, shape):
    kind = type(layer).type.__get__(layer).name  # hides the kind of layer
    settings = {
        "kernel_shape": tuple(layer.window_size_nd),
        "strides": tuple(layer.stride_nd),
        **_pads(layer),
    }
    if layer.padding_mode.name == "EXPLICIT_ROUND_UP":
        settings["ceil_mode"] = 1
    image = inputs[0].astype(np.float32)
    if kind == "MAX":
        return run_operator("MaxPool", [image], **settings)
    if kind != "AVERAGE":
        raise Unsupported(f"pooling by {kind}")
    counts_padding = int(not layer.average_count_excludes_padding)
    return run_operator("AveragePool", [image], **settings, count_include_pad=counts_padding)


def resize(layer, inputs, shape):
    coordinates = _COORDINATES[layer.coordinate_transformation.name]
    if layer.selector_for_single_pixel.name == "UPPER" and coordinates == "half_pixel":
        coordinates = "pytorch_half_pixel"
    settings = {"mode": layer.resize_mode.name.lower(), "coordinate_transformation_mode": coordinates}
    if settings["mode"] == "nearest":
        settings["nearest_mode"] = _ROUNDING[layer.nearest_rounding.name]
    if settings["mode"] == "cubic":
        settings |= {"cubic_coeff_a": layer.cubic_coeff, "exclude_outside": int(layer.exclude_outside)}
    scales = np.array(list(layer.scales), np.float32)
    if scales.size:
        return run_operator("Resize", [inputs[0], None, scales], **settings)
    given = inputs[1] if len(inputs) > 1 else None
    sizes = np.asarray(shape if given is None else given, np.int64)
    return run_operator("Resize", [inputs[0], None, None, sizes], **settings)


def grid_sample(layer, inputs, shape):
    return run_operator(
        "GridSample",
        inputs,
        mode=layer.interpolation_mode.name.lower(),
        padding_mode=_BEYOND[layer.sample_mode.name],
        align_corners=int(layer.align_corners),
    )


def lrn(layer, inputs, shape):
    settings = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k, "size": layer.window_size}
    return run_operator("LRN", [inputs[0]], **settings)


WINDOWS = {
    "CONVOLUTION": convolution,
    "DECONVOLUTION": deconvolution,
    "POOLING": pooling,
    "RESIZE": resize,
    "GRID_SAMPLE": grid_sample,
    "LRN": lrn,
}
