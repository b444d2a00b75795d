"""Turn an artifact folder into one file and back."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from graphopt.artifact import atomic, packed
from graphopt.artifact.manifest import MANIFEST_NAME
from graphopt.artifact.reader import Artifact, open_artifact
from graphopt.artifact.replace import check_replaceable, write_error
from graphopt.backends.executable import WEIGHTS_NAME
from graphopt.errors import ArtifactError

_PAGE = 4096
_LINE = 64


def pack(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write the artifact at ``path`` as one file that opens in place: nothing in it is compressed.

    Args:
        path: an artifact folder (or a packed file, which is rewritten).
        out: the file to create or replace, atomically.

    Returns:
        ``out``.

    Raises:
        ArtifactError: ``path`` is damaged, or ``out`` cannot be written.
    """
    artifact = open_artifact(path)
    target = _target(artifact, out)
    partial = atomic.sibling(target)
    try:
        with partial.open("xb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                # First, so that the file can be recognised by its head.
                packed.add(archive, MANIFEST_NAME, artifact.manifest.to_bytes(), _LINE)
                for name in artifact.manifest.files:
                    packed.add(archive, name, artifact.read(name), _PAGE if name == WEIGHTS_NAME else _LINE)
            file.flush()
            os.fsync(file.fileno())
        atomic.install(partial, target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        atomic.remove(partial)
    return target


def unpack(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write the artifact at ``path`` as a folder, atomically; arguments and errors as for ``pack``."""
    artifact = open_artifact(path)
    target = _target(artifact, out)
    partial = atomic.sibling(target)
    try:
        partial.mkdir()
        for name in artifact.manifest.files:
            file = partial / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(artifact.read(name))
        (partial / MANIFEST_NAME).write_bytes(artifact.manifest.to_bytes())
        atomic.sync_tree(partial)
        atomic.install(partial, target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        atomic.remove(partial)
    return target


def _target(artifact: Artifact, out: str | os.PathLike[str]) -> Path:
    target = Path(os.path.abspath(out))  # noqa: PTH100 (resolve would follow a symlink)
    if target.exists() and target.samefile(artifact.path):
        raise ArtifactError(f"{target} cannot be packed onto itself", "choose another output with -o")
    check_replaceable(target)
    return target
