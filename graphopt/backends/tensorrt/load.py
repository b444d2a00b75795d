"""Open and run a TensorRT region of an artifact. Imports no compiler room."""

from __future__ import annotations

from graphopt.backends.executable import Executable, RegionBlob
from graphopt.errors import BackendError


def load(blob: RegionBlob) -> Executable:  # noqa: ARG001 (part of the protocol)
    """Open an engine.

    Raises:
        BackendError: this machine has no GPU that runs it.
    """
    raise BackendError("TensorRT engines need an NVIDIA GPU", "graphopt doctor")
