"""The person's own feeds: read, and checked against what the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

import numpy as np
import onnx_ir as ir

from graphopt.equality.arrays import Array
from graphopt.equality.feedfile import load_feeds
from graphopt.equality.feedset import FeedSet
from graphopt.equality.signature import Port, inputs, scalar_type
from graphopt.errors import FeedError


def user_feeds(
    model: ir.Model, source: str | PathLike[str] | Mapping[str, Array] | Sequence[Mapping[str, Array]]
) -> tuple[FeedSet, ...]:
    """The feeds a person named.

    Args:
        model: whose inputs they are.
        source: the path of an .npz file, a mapping, or several mappings.

    Raises:
        FeedError: a wrong name, dtype or shape, or an unreadable file.
    """
    if isinstance(source, str | PathLike):
        return (FeedSet("user", check_feeds(model, load_feeds(source)), "user"),)
    if isinstance(source, Mapping):
        return (FeedSet("user", check_feeds(model, source), "user"),)
    if not source:
        raise FeedError("an empty list of inputs", "pass at least one mapping of input name to array")
    return tuple(FeedSet(f"user {i}", check_feeds(model, feeds), "user") for i, feeds in enumerate(source))


def check_feeds(model: ir.Model, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The feeds as arrays the model takes, in the model's order.

    Raises:
        FeedError: an input is missing, unknown, or of the wrong dtype or shape.
    """
    ports = inputs(model)
    optional = {value.name for value in model.graph.inputs} - {port.name for port in ports}
    known = ", ".join(str(port) for port in ports)
    for name in feeds:
        if name not in optional and all(port.name != name for port in ports):
            raise FeedError(f"the model has no input '{name}'", f"it takes {known}")
    for port in ports:
        if port.name not in feeds:
            raise FeedError(f"input '{port.name}' is missing", f"the model takes {known}")
    checked = {port.name: _check(port, feeds[port.name]) for port in ports}
    return checked | {name: np.asarray(feeds[name]) for name in feeds if name in optional}


def _check(port: Port, value: Array) -> Array:
    if port.kind != "tensor":
        return value
    array = np.asarray(value)
    if port.dtype is not None:
        array = _typed(port, array)
    if port.dims is not None:
        if array.ndim != len(port.dims):
            raise FeedError(
                f"input '{port.name}' has rank {array.ndim}, the model takes rank {len(port.dims)}",
                f"it takes {port}",
            )
        # Names are no promise: exporters reuse them, and the runtime does not hold anyone to them.
        for axis, dim in enumerate(port.dims):
            if isinstance(dim, int) and array.shape[axis] != dim:
                raise FeedError(
                    f"input '{port.name}' has shape {list(array.shape)}, axis {axis} must be {dim}",
                    f"it takes {port}",
                )
    return array


def _typed(port: Port, array: Array) -> Array:
    wanted = port.numpy_dtype()
    if wanted.kind == "O" and array.dtype.kind in "OSU":
        return array.astype(object)
    if array.dtype == wanted:
        return array
    if array.dtype.kind == "V" and array.dtype.itemsize == wanted.itemsize:
        return array.view(wanted)  # bfloat16 and its like, read back from an .npz
    raise FeedError(
        f"input '{port.name}' is {scalar_type(array.dtype)}, the model takes {scalar_type(wanted)}",
        f"convert it with .astype('{scalar_type(wanted)}')",
    )
