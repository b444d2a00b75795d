"""The ONNX operator suite's cases with their data as numpy arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import onnx
from onnx import numpy_helper


@cache
def _cases() -> list[Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(load_model_tests(kind="node"))


def cases(every: int = 1) -> Iterator[Any]:
    """The suite's node cases, or each ``every``-th."""
    yield from _cases()[::every]


def arrays(values: Any) -> list[Any]:
    """Inputs or outputs of a case, protos converted."""
    return [_array(value) for value in values]


def _array(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, onnx.SequenceProto):
        return numpy_helper.to_list(value)
    if isinstance(value, onnx.OptionalProto):
        return numpy_helper.to_optional(value)
    return value
