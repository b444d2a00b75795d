"""Inputs and outputs of an engine, and which of its profiles takes given shapes. Imports no compiler room."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphopt.backends.engine_options import ShapeRange
from graphopt.backends.executable import TensorInfo
from graphopt.errors import BackendError, FeedError

_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}
_ML_DTYPES = {"BF16": "bfloat16", "FP8": "float8_e4m3fn"}

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Port:
    """One input or output of an engine.

    Attributes:
        name: of the region's value.
        tensor: what the engine calls it.
        dtype: of its elements.
        shape: sizes, -1 where open.
        on_host: whether TensorRT wants it in the host's memory: it decides about shapes.
        ranges: the shapes an input may take under each profile; empty for an output.
    """

    name: str
    tensor: str
    dtype: np.dtype[np.generic]
    shape: Shape
    on_host: bool
    ranges: tuple[ShapeRange, ...] = ()

    @property
    def info(self) -> TensorInfo:
        """The port as a region's signature has it."""
        return TensorInfo(self.name, self.dtype.name, tuple(None if d < 0 else d for d in self.shape))


def read_ports(api: Any, engine: Any) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Inputs and outputs of an engine, in its order; raises BackendError for a dtype numpy cannot hold."""
    inputs: list[Port] = []
    outputs: list[Port] = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        dtype = _numpy_dtype(engine.get_tensor_dtype(name), name)
        shape = tuple(engine.get_tensor_shape(name))
        on_host = engine.get_tensor_location(name) == api.TensorLocation.HOST
        if engine.get_tensor_mode(name) == api.TensorIOMode.INPUT:
            inputs.append(Port(name, name, dtype, shape, on_host, _ranges(engine, name, shape)))
        else:
            outputs.append(Port(name, name, dtype, shape, on_host))
    given = {port.name for port in outputs}
    return tuple(_plain(port, given) for port in inputs), tuple(outputs)


def choose_profile(inputs: Sequence[Port], shapes: Mapping[str, Shape]) -> int:
    """The profile whose usual shapes are nearest, among those that take all of ``shapes``.

    Raises:
        FeedError: none does; the message names the input and the range of each of its sizes.
    """
    count = max((len(port.ranges) for port in inputs), default=1)
    fitting = [index for index in range(count) if all(_fits(p.ranges[index], shapes[p.name]) for p in inputs)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        return min(fitting, key=lambda index: sum(_distance(p.ranges[index], shapes[p.name]) for p in inputs))
    raise _explain(inputs, shapes)


def _plain(port: Port, given: Set[str]) -> Port:
    """An input under its own name: the parser calls one that is handed through as an output ``__x``."""
    name = port.name.removeprefix("__")
    return replace(port, name=name) if name != port.name and name in given else port


def _explain(inputs: Sequence[Port], shapes: Mapping[str, Shape]) -> FeedError:
    hint = "compile the model with --min-shapes, --opt-shapes and --max-shapes that include it"
    for port in inputs:
        shape = shapes[port.name]
        if not any(_fits(taken, shape) for taken in port.ranges):
            offered = " or ".join(dict.fromkeys(_words(taken) for taken in port.ranges))
            return FeedError(
                f"input '{port.name}' has shape {list(shape)}, and the engine takes {offered}", hint
            )
    both = ", ".join(f"{port.name}: {list(shapes[port.name])}" for port in inputs)
    return FeedError(f"the engine has no profile that takes these shapes together: {both}", hint)


def _ranges(engine: Any, name: str, shape: Shape) -> tuple[ShapeRange, ...]:
    indices = range(max(engine.num_optimization_profiles, 1))
    if -1 not in shape:
        return (ShapeRange(shape, shape, shape),) * len(indices)
    found: list[ShapeRange] = []
    for index in indices:
        least, usual, most = (tuple(dims) for dims in engine.get_tensor_profile_shape(name, index))
        found.append(ShapeRange(least, usual, most))
    return tuple(found)


def _fits(taken: ShapeRange, shape: Shape) -> bool:
    return len(shape) == len(taken.least) and all(
        low <= size <= high for low, size, high in zip(taken.least, shape, taken.most, strict=True)
    )


def _distance(taken: ShapeRange, shape: Shape) -> float:
    pairs = zip(shape, taken.usual, strict=True)
    return sum(abs(math.log(max(size, 1) / max(usual, 1))) for size, usual in pairs)


def _words(taken: ShapeRange) -> str:
    """[1…8, 3]: the sizes of one range."""
    ends = zip(taken.least, taken.most, strict=True)
    return f"[{', '.join(str(low) if low == high else f'{low}…{high}' for low, high in ends)}]"


def _numpy_dtype(dtype: Any, name: str) -> np.dtype[np.generic]:
    spelling = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    if spelling in _DTYPES:
        return np.dtype(_DTYPES[spelling])
    if spelling in _ML_DTYPES:
        import ml_dtypes

        found: np.dtype[np.generic] = np.dtype(getattr(ml_dtypes, _ML_DTYPES[spelling]))
        return found
    raise BackendError(f"the engine's '{name}' has dtype {spelling}, which arrays here cannot hold")
