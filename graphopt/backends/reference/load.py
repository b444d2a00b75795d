"""Open and run a reference region of an artifact. Imports no compiler room."""

from __future__ import annotations

from graphopt.backends.executable import RegionBlob
from graphopt.backends.reference.session import ReferenceExecutable, read_signature


def load(blob: RegionBlob) -> ReferenceExecutable:
    """Open a region; raises BackendError when onnx is missing, too old or the bytes are no model."""
    data = bytes(blob.data)
    return ReferenceExecutable(data, *read_signature(data))
