"""What the passes about attention ask of shapes, scales and masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.rewrite.constants import constant_tensor
from graphopt.rewrite.dims import is_unknown, same_dim
from graphopt.rewrite.match import Dim, Match

TYPES = (ir.DataType.FLOAT16, ir.DataType.FLOAT)
"""What the passes are proven for."""

_TAKEN = frozenset({*TYPES, ir.DataType.BFLOAT16})

_ABSORBING = 1e30
"""A float32 mask this low swallows every score it is added to, as putting it in the score's place would."""

_LARGEST = 1 << 22
"""Elements: a larger constant mask is not read."""


def scalar(match: Match, name: str) -> float | None:
    """The one number the constant ``name`` holds, or None."""
    tensor = constant_tensor(match.value(name)) if name in match else None
    if tensor is None or tensor.size != 1:
        return None
    return float(np.asarray(tensor.numpy()).astype(np.float64).ravel()[0])


def scale_of(match: Match, name: str, operator: str) -> float | str:
    """What multiplying or dividing by the constant ``name`` scales by, or why that is not known.

    Args:
        match: where ``name`` is an operand; missing in spellings that do not scale.
        name: the constant.
        operator: Mul or Div.
    """
    if name not in match:
        return 1.0
    number = scalar(match, name)
    if number is None:
        return "the scale is not one constant number"
    if number == 0 or not math.isfinite(number):
        return f"the scale is {number}"
    return 1.0 / number if operator == "Div" else number


def takes(match: Match, *names: str) -> str | None:
    """Why these are not operands of one attention, or None: their element types."""
    types = {match.dtype(name) for name in names}
    if len(types) != 1:
        return "the operands differ in their element types"
    return None if types <= _TAKEN else f"Attention does not take {types.pop()}"


def may_be_one_batch(a: Dim, b: Dim) -> bool:
    """Whether two batch sizes may be taken as equal: neither is stretched to the other as far as is known."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    if isinstance(a, int) or isinstance(b, int):
        return (a if isinstance(a, int) else b) != 1
    return True


def heads(q: Dim, k: Dim, v: Dim) -> str | None:
    """Why heads of these counts do not attend to each other, or None."""
    if not same_dim(k, v):
        return "keys and values differ in their heads"
    if same_dim(q, k) or k == 1:
        return None
    return "the heads of queries and keys are not known to agree"


def broadcasts(mask: ir.Value, scores: Sequence[Dim]) -> str | None:
    """Why adding ``mask`` might enlarge the scores, or None."""
    if mask.shape is None:
        return "the rank of the mask is unknown"
    dims = tuple(mask.shape)
    if len(dims) > len(scores):
        return "the mask has more dims than the scores"
    for have, want in zip(scores[len(scores) - len(dims) :], dims, strict=True):
        if want == 1 or is_unknown(want):
            continue
        if have == 1 or (isinstance(have, int) and isinstance(want, int) and have != want):
            return "the mask enlarges the scores"
    return None


def hides(match: Match, keep: str, fill: str, negated: bool) -> str | None:
    """Why writing ``fill`` over scores is not the same as adding it to them, or None.

    The two agree where what is hidden gets no weight at all, which is so in every row in which
    something is kept. In other rows they agree when ``fill`` swallows the scores.
    """
    number = scalar(match, fill)
    if number is None:
        return "what replaces the hidden scores is not one constant number"
    if number == -math.inf or (number <= -_ABSORBING and match.dtype(fill) == ir.DataType.FLOAT):
        return None
    tensor = constant_tensor(match.value(keep))
    if number > -1e4 or tensor is None or tensor.size > _LARGEST:
        return f"a row whose scores are all replaced by {number} would differ"
    kept = np.asarray(tensor.numpy()).astype(bool) != negated
    return None if kept.ndim and bool(np.all(kept.any(axis=-1))) else "a row is hidden completely"
