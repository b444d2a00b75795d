"""Arrays by name in an .npz file, whatever the names.

ONNX names hold ``/``, ``:`` and words like ``file`` that ``numpy.savez`` takes for its own
arguments; names that a zip archive would garble are escaped. ``numpy.load`` reads the files too.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from graphopt.equality.arrays import Array
from graphopt.errors import FeedError

_ESCAPED = "%"
_SAFE = " !#$&'()+,-./:;=@[]^_`{}~<>|"


def write_npz(path: str | PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays; strings become fixed-width unicode, so that nothing needs pickle.

    Raises:
        OSError: the file cannot be written.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{_member(name)}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _plain(array), allow_pickle=False)


def read_npz(path: str | PathLike[str]) -> dict[str, Array]:
    """Read what ``write_npz`` or ``numpy.savez`` wrote.

    Raises:
        FeedError: no such file, or no .npz of plain arrays.
    """
    file = Path(path)
    if not file.is_file():
        raise FeedError(f"no such inputs file: {file}")
    try:
        with np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise FeedError(
                    f"{file} is no .npz file", "write one with numpy.savez(path, **{name: array})"
                )
            return {_name(key): archive[key] for key in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise FeedError(f"{file} is no .npz file of plain arrays: {error}") from error


def _member(name: str) -> str:
    """``name`` itself where zip keeps it, else percent-escaped behind a mark."""
    plain = name.isprintable() and not name.startswith(("/", _ESCAPED)) and not name.endswith(".npy")
    plain = plain and "\\" not in name and ".." not in name.split("/") and name != ""
    return name if plain else _ESCAPED + quote(name, safe=_SAFE.replace("/", "").replace(".", ""))


def _name(member: str) -> str:
    return unquote(member[1:]) if member.startswith(_ESCAPED) else member


def _plain(array: Array) -> Array:
    if array.dtype.kind in "OS":
        return array.astype(np.str_)
    # A dtype numpy does not know (bfloat16) would be written as opaque bytes either way.
    return array
