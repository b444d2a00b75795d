"""What the right side of a rule says: text, with the constants and attributes it refers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Constant = npt.NDArray[np.generic] | ir.TensorProtocol
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True)
class Replacement:
    """A right side that was computed.

    Attributes:
        text: ONNX text that defines every result of the pattern, in terms of the names the match
            binds and those below. ``y = x`` passes a value through.
        constants: tensors by name; they become initializers (Constant nodes inside a function).
        attributes: values for ``@names``; they win over those the match bound.
        values: existing values by name, for what the match does not name.
    """

    text: str
    constants: Mapping[str, Constant] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    values: Mapping[str, ir.Value | tuple[ir.Value, ...]] = field(default_factory=dict)
