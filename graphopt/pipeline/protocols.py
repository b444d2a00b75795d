"""The roles other rooms play for the pipeline, so that it need not know them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Array = npt.NDArray[np.generic]
Feeds = Mapping[str, Array]


class Runner(Protocol):
    """Something that computes a model's outputs."""

    @property
    def input_names(self) -> Sequence[str]:
        """Names of the inputs ``run`` takes, in the model's order."""

    @property
    def output_names(self) -> Sequence[str]:
        """Names of the outputs ``run`` returns, in the model's order."""

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Compute every output from ``feeds``; raises FeedError or BackendError."""


class RunnerFactory(Protocol):
    """Makes a Runner for a model: how passes and equality run one without knowing a backend."""

    def __call__(self, model: ir.Model) -> Runner:
        """Build a runner; raises BackendError when the model cannot be run."""
