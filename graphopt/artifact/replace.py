"""What may be overwritten, and what to say when an output cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from graphopt.artifact.manifest import MANIFEST_NAME
from graphopt.errors import ArtifactError


def write_error(path: Path, error: OSError) -> ArtifactError:
    """What to tell a person when an output cannot be written."""
    hint = "choose another output with -o"
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return ArtifactError(f"cannot write {path}: the folder {path.parent} does not exist", hint)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = f"free some space, or {hint}"
    return ArtifactError(f"cannot write {path}: {error.strerror or error}", hint)


def check_replaceable(path: Path) -> None:
    """Refuse to overwrite anything but an artifact or an empty folder; raises ArtifactError."""
    if not os.path.lexists(path):
        return
    hint = "choose another output with -o, or remove it"
    if path.is_dir():
        if any(path.iterdir()) and not (path / MANIFEST_NAME).is_file():
            raise ArtifactError(f"{path} exists and is not an artifact", hint)
    elif not is_packed(path):
        raise ArtifactError(f"{path} exists and is not an artifact", hint)


def is_packed(path: Path) -> bool:
    """Whether a file looks like a packed artifact: a zip archive that opens with a manifest."""
    try:
        with path.open("rb") as file:
            head = file.read(30 + len(MANIFEST_NAME))
    except OSError:
        return False
    return head[:4] == b"PK\x03\x04" and head[30:] == MANIFEST_NAME.encode()
