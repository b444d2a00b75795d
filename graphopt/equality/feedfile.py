"""Read arrays by name from an .npz file, whatever the names; never unpickles.

Plain files of ``numpy.savez`` are read as they are. Files with an index entry hold arrays under
numbers, because names such as ``x:0`` or ``file`` do not survive as members, and because numpy
forgets bfloat16: the index says name, dtype and shape of each.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from graphopt.equality.arrays import Array
from graphopt.errors import FeedError

_INDEX = "__graphopt_feeds__"
_HINT = "write one with numpy.savez(path, **{name: array})"


def read_npz(path: str | PathLike[str]) -> dict[str, Array]:
    """The arrays of a file.

    Raises:
        FeedError: no such file, or no .npz of plain arrays.
    """
    file = Path(path)
    if not file.is_file():
        raise FeedError(f"no such inputs file: {file}")
    if not zipfile.is_zipfile(file):
        raise FeedError(f"{file} is no .npz file", _HINT)
    try:
        with np.load(file, allow_pickle=False) as archive:
            members: dict[str, Array] = {key: archive[key] for key in archive.files}
        if _INDEX not in members:
            return members
        entries = json.loads(str(members[_INDEX]))
        return {entry["name"]: _restore(members[str(i)], entry) for i, entry in enumerate(entries)}
    except (ValueError, OSError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        reason = " ".join(str(error).split())
        raise FeedError(f"{file} is no .npz file of plain arrays: {reason}", _HINT) from error


def _restore(array: Array, entry: Mapping[str, Any]) -> Array:
    if entry["dtype"] == "object":
        return array.astype(object)
    if array.dtype.name == entry["dtype"]:
        return array
    restored: Array = array.view(getattr(ml_dtypes, entry["dtype"])).reshape(entry["shape"])
    return restored
