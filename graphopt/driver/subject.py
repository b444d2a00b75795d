"""What a path a person gives is: a model or an artifact."""

from __future__ import annotations

from pathlib import Path


def is_artifact(path: Path) -> bool:
    """Whether a path is an artifact: a folder, or a packed one, a ZIP file, which no ONNX model is."""
    if path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False
