"""Arrays by name in an ``.npz`` file, whatever the names: how inputs travel to another process.

A model's input may be called ``gpu_0/data_0``, ``x:0`` or even ``file``, which NumPy's own writer
or the zip format trip over; and NumPy forgets bfloat16. So arrays are stored under numbers, beside
one entry that holds names and dtypes. Plain ``.npz`` files of other tools are read as they are.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.errors import FeedError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

_INDEX = "__graphopt_feeds__"


def save_feeds(path: str | os.PathLike[str], feeds: Mapping[str, Array]) -> None:
    """Write arrays (strings included) to ``path``, exactly as it is spelt.

    Raises:
        FeedError: the file cannot be written.
    """
    import numpy as np

    members: dict[str, Any] = {}
    index: list[dict[str, Any]] = []
    for number, (name, array) in enumerate(feeds.items()):
        index.append({"name": name, "dtype": array.dtype.name, "shape": array.shape})
        plain = array.astype(np.str_) if array.dtype == object else array
        members[str(number)] = np.frombuffer(plain.tobytes(), np.uint8) if _foreign(plain) else plain
    members[_INDEX] = np.array(json.dumps(index))
    try:
        with Path(path).open("wb") as file:
            np.savez(file, allow_pickle=False, **members)
    except OSError as error:
        raise FeedError(f"cannot write '{path}': {error.strerror or error}") from None


def load_feeds(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read what ``save_feeds`` wrote, or any ``.npz`` file, by name; never unpickles.

    Raises:
        FeedError: the file is missing or is no ``.npz`` file of plain arrays.
    """
    import numpy as np

    hint = "write it with numpy.savez(path, **{name: array})"
    try:
        with Path(path).open("rb") as raw:
            # Asked first: NumPy takes whatever it does not know for a pickle and says so.
            if not zipfile.is_zipfile(raw):
                raise FeedError(f"cannot read inputs from '{path}': it is no .npz file", hint)
            raw.seek(0)  # an archive without members leaves the position at its end
            with np.load(raw, allow_pickle=False) as file:
                members = {name: file[name] for name in file.files}
        if _INDEX not in members:
            return members
        entries = json.loads(str(members[_INDEX]))
        return {entry["name"]: _restore(members[str(number)], entry) for number, entry in enumerate(entries)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        if "Object arrays" in reason:
            reason, hint = "it holds Python objects", "strings are stored as array.astype(str)"
        raise FeedError(f"cannot read inputs from '{path}': {reason}", hint) from None


def _foreign(array: Array) -> bool:
    """Whether NumPy's file format would forget the dtype."""
    return array.dtype.kind == "V" or array.dtype.isbuiltin == 2


def _restore(array: Array, entry: Mapping[str, Any]) -> Array:
    if entry["dtype"] == "object":
        return array.astype(object)
    if array.dtype.name == entry["dtype"]:
        return array
    import ml_dtypes

    restored: Array = array.view(getattr(ml_dtypes, entry["dtype"])).reshape(entry["shape"])
    return restored
