"""Say what is wrong with feeds. Called after a run failed, never before: a good run pays nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt.backends.executable import TensorInfo
from graphopt.errors import FeedError


def explain_feeds(
    inputs: Sequence[TensorInfo],
    feeds: Mapping[str, Any],
    *,
    symbols: bool = False,
    device_arrays: bool = False,
) -> FeedError | None:
    """The first thing that does not fit, or None when the feeds match the signature.

    Checks names, that values are arrays, dtypes, ranks and fixed sizes; with ``symbols`` also that
    dims of one name agree. Exporters reuse names carelessly, so that is worth saying after a run
    failed but no reason to refuse one. With ``device_arrays`` whatever has a dtype and a shape is an array.
    """
    hint = "expected " + ", ".join(str(info) for info in inputs)
    known = {info.name for info in inputs}
    missing = [info.name for info in inputs if not info.optional and feeds.get(info.name) is None]
    unknown = [str(name) for name in feeds if name not in known]
    if unknown:
        return FeedError(f"there is no input '{unknown[0]}'", hint)
    if missing:
        return FeedError(f"input {', '.join(repr(name) for name in missing)} is missing", hint)
    sizes: dict[str, tuple[int, str]] = {}
    for info in inputs:
        if info.name not in feeds:
            continue
        value = feeds[info.name]
        if not isinstance(value, np.ndarray) and not (device_arrays and hasattr(value, "dtype")):
            problem = "" if "(" in info.dtype else f"is a {type(value).__name__}, not a numpy array"
        else:
            problem = _explain_one(info, value, sizes if symbols else None)
        if problem:
            return FeedError(f"input '{info.name}' {problem}", f"expected {info}")
    return None


def _explain_one(info: TensorInfo, value: Any, sizes: dict[str, tuple[int, str]] | None) -> str:
    """What is wrong with one feed, or an empty string; ``sizes`` remembers symbolic dims seen so far."""
    if "(" in info.dtype:
        return ""
    if not _dtype_fits(info.dtype, value.dtype):
        return f"has dtype {value.dtype}"
    if info.shape is None:
        return ""
    if value.ndim != len(info.shape):
        return f"has shape {list(value.shape)}: rank {value.ndim} instead of {len(info.shape)}"
    for axis, (dim, size) in enumerate(zip(info.shape, value.shape, strict=True)):
        if isinstance(dim, int) and dim != size:
            return f"has shape {list(value.shape)}: axis {axis} is {size} instead of {dim}"
        if isinstance(dim, str) and sizes is not None and _is_name(dim):
            before, where = sizes.setdefault(dim, (size, info.name))
            if before != size:
                return f"has shape {list(value.shape)}: '{dim}' is {size} here but {before} in '{where}'"
    return ""


def _is_name(dim: str) -> bool:
    """Whether a symbolic dim was named on purpose: ``?``, ``-1`` and ``unk__7`` never equal one another."""
    return dim.isidentifier() and not dim.startswith("unk__")


def _dtype_fits(expected: str, dtype: np.dtype[np.generic]) -> bool:
    if expected == "string":
        return dtype.kind in "OUS"
    # ml_dtypes writes float8_e4m3fn where ONNX Runtime writes float8e4m3fn.
    return dtype.name.replace("_", "") == expected.replace("_", "") and dtype.isnative
