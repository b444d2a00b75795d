"""FeedSet: one set of input arrays, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphopt.equality.arrays import Array, flatten_outputs


@dataclass(frozen=True)
class FeedSet:
    """Inputs for one run.

    Attributes:
        label: a short name for reports.
        values: input name → array; the arrays are not to be modified.
        origin: ``user`` or ``derived``.
    """

    label: str
    values: Mapping[str, Array]
    origin: str = "derived"

    def describe(self) -> dict[str, str]:
        """Input name → ``dtype[dims]``; the elements of a sequence as ``name[0]`` …."""
        return {name: f"{a.dtype}{list(a.shape)}" for name, a in flatten_outputs(self.values).items()}
