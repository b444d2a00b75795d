"""What ``bench`` feeds a model or an artifact, and what stands beside an artifact."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from graphopt.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx_ir as ir

    Array = npt.NDArray[np.generic]
    Run = Callable[[Mapping[str, Array]], dict[str, Array]]


def bench_feeds(
    model_path: Path,
    run: Callable[[ir.Model], Run],
    *,
    inputs: str | os.PathLike[str] | None = None,
    feeds: Mapping[str, Array] | None = None,
    seed: int = 0,
) -> dict[str, Array]:
    """One array per input: the person's own, checked, or derived from the graph.

    Args:
        model_path: the ONNX file whose inputs are fed.
        run: makes something that computes the model, asked only when feeds must be derived.
        inputs: ``.npz`` file.
        feeds: the arrays.
        seed: of derived values.

    Raises:
        ModelError: the model cannot be read.
        UsageError: both kinds were given.
        FeedError: the feeds do not fit, or none could be derived.
    """
    from graphopt.ir.load import load_model

    if inputs is not None and feeds is not None:
        raise UsageError("both a file of inputs and arrays were given", "give one of them")
    model = load_model(model_path)
    given = inputs if inputs is not None else feeds
    if given is not None:
        from graphopt.equality.feeds_user import user_feeds

        return dict(user_feeds(model, given)[0].values)
    from graphopt.equality.feeds import derive_feeds

    found = derive_feeds(model, run(model), value_sets=1, seed=seed)
    return dict(found.feeds[0].values) if found.feeds else {}


def artifact_source(path: Path) -> Path | None:
    """The model an artifact was compiled from, if it is still where it was and unchanged."""
    from graphopt.artifact.reader import open_artifact

    source = open_artifact(path).manifest.details.get("source")
    if not isinstance(source, dict):
        return None
    place, digest = source.get("path"), source.get("sha256")
    if not (isinstance(place, str) and place and isinstance(digest, str)):
        return None
    original = Path(place)
    try:
        with original.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    return original if found == digest else None


def artifact_target(path: Path) -> Mapping[str, object]:
    """The machine an artifact was compiled for, as its manifest says."""
    from graphopt.artifact.reader import open_artifact

    return open_artifact(path).manifest.target


def artifact_model(path: Path, scratch: Path) -> Path:
    """The optimised graph of an artifact as a file; a packed artifact is unpacked into ``scratch``."""
    from graphopt.artifact.manifest import MODEL_NAME
    from graphopt.artifact.pack import unpack

    folder = path if path.is_dir() else unpack(path, scratch / "unpacked.gopt")
    return folder / MODEL_NAME
