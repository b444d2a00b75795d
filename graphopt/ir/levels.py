"""The levels a model is lowered through; the verifier has one table per level."""

from __future__ import annotations

from enum import IntEnum


class Level(IntEnum):
    """How far down a model has been lowered. Later levels satisfy the earlier ones' rules."""

    IMPORTED = 0
    CANONICAL = 1
    FUSED = 2
    PLACED = 3
    LEGALISED = 4
