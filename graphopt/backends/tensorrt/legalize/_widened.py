"""Rules that compute in float32 what comes in a narrower float."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.rewrite.match import Match

_NARROW = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


def is_float(match: Match, name: str) -> bool:
    """Whether ``name`` is float32, or a narrower float that is cast to it and back."""
    return match.dtype(name) == ir.DataType.FLOAT or match.dtype(name) in _NARROW


def widen(match: Match, name: str) -> str:
    """The step that makes ``wide`` of ``name``."""
    return f"wide = Cast <to = 1> ({name})" if match.dtype(name) in _NARROW else f"wide = {name}"


def result(match: Match, name: str) -> str:
    """What the step before ``narrow`` yields: ``y`` itself where nothing was widened."""
    return "whole" if match.dtype(name) in _NARROW else "y"


def narrow(match: Match, name: str) -> str:
    """The step that makes ``y`` of ``whole``, in the element type of ``name``; empty where that is ``y``."""
    dtype = match.dtype(name)
    return f"y = Cast <to = {int(dtype)}> (whole)" if dtype in _NARROW and dtype is not None else ""
