"""The TensorRT modules there may be, behind one name each. Imports no compiler room.

``tensorrt`` (versions 10 and 11) and ``tensorrt_rtx`` offer one Python API; what differs between them is
decided here and in ``architectures``. The bindings of TensorRT-RTX come without their libraries: where
ONNX Runtime's TensorRT-RTX provider is installed, the ones it ships are loaded first.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from graphopt.errors import BackendError

NAMES = ("tensorrt", "tensorrt_rtx")
"""Every module of this API, most preferred first."""

TITLES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
"""What people call them."""

FIXES = {
    "tensorrt": "pip install 'graphopt[tensorrt]'",
    "tensorrt_rtx": "pip install 'graphopt[tensorrt-rtx]'",
}
"""The command that installs each."""

OLDEST = {"tensorrt": (10, 0), "tensorrt_rtx": (1, 0)}
"""Versions from which on networks can be strongly typed and tensors have names."""

_IMPORTED_AS = {"tensorrt": ("tensorrt",), "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
_LIBRARY_PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
_LIBRARIES = ("libcudart.so.*", "libtensorrt_rtx.so.*", "libtensorrt_onnxparser_rtx.so.*")


@dataclass(frozen=True)
class Library:
    """One TensorRT that can be used here.

    Attributes:
        name: one of ``NAMES``.
        version: as the module spells it: "1.7.1.116".
        api: the imported module.
    """

    name: str
    version: str
    api: Any

    @property
    def title(self) -> str:
        """Name and version for people: "TensorRT-RTX 1.7.1.116"."""
        return f"{TITLES[self.name]} {self.version}"


@cache
def find_library(name: str) -> Library:
    """Import one TensorRT.

    Args:
        name: one of ``NAMES``.

    Raises:
        BackendError: it is not installed, its libraries are missing or do not fit, or it is too old; the
            hint is the command that mends it.
    """
    if name not in NAMES:
        raise BackendError(f"there is no TensorRT module '{name}'", f"known: {', '.join(NAMES)}")
    spelling = next((text for text in _IMPORTED_AS[name] if _installed(text)), None)
    if spelling is None:
        raise BackendError(f"{TITLES[name]} is not installed", FIXES[name])
    preloaded = _preload_libraries() if spelling == "tensorrt_rtx_bindings" else ()
    try:
        api = import_module(spelling)
    except Exception as error:
        # A broken native library raises whatever it likes while being imported.
        said = " ".join(str(error).split())
        raise BackendError(f"{TITLES[name]} cannot be imported: {said}", FIXES[name]) from error
    version = str(getattr(api, "__version__", ""))
    _check_fit(version, preloaded)
    if _numbers(version)[:2] < OLDEST[name]:
        oldest = ".".join(map(str, OLDEST[name]))
        raise BackendError(f"{TITLES[name]} {version or '?'} is older than {oldest}", FIXES[name])
    return Library(name, version, api)


def libraries() -> tuple[Library, ...]:
    """Every TensorRT that can be used here, most preferred first."""
    found: list[Library] = []
    for name in NAMES:
        try:
            found.append(find_library(name))
        except BackendError:
            continue
    return tuple(found)


def library_files() -> tuple[Path, ...]:
    """The TensorRT-RTX libraries that ONNX Runtime's provider ships here, in loading order; may be empty."""
    try:
        spec = find_spec(_LIBRARY_PACKAGE)
    except (ImportError, ValueError):
        return ()
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = [sorted(Path(folder).glob(pattern)) for pattern in _LIBRARIES for folder in folders[:1]]
    return tuple(files[-1] for files in found if files)


def _installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        spec = find_spec(module)
        # A folder without a module in it (of type stubs, of leftovers) is found, too; it has no origin.
        return spec is not None and spec.origin is not None
    except (ImportError, ValueError):
        return False


def _preload_libraries() -> tuple[Path, ...]:
    """Load what the bindings link to, so that the loader finds it whatever the search path says.

    Where nothing ships them the bindings are left to find their libraries by themselves.

    Returns:
        The files loaded.

    Raises:
        BackendError: a library is damaged.
    """
    files = library_files()
    if len(files) < len(_LIBRARIES) or _installed("tensorrt_rtx_libs"):
        return ()
    for path in files:
        try:
            _load(path)
        except OSError as error:
            raise BackendError(f"{path.name} cannot be loaded: {error}", FIXES["tensorrt_rtx"]) from error
    return files


def _check_fit(version: str, files: tuple[Path, ...]) -> None:
    """Raise BackendError where a library preloaded ("….so.1.7.1") is of another version than the bindings."""
    for path in files:
        found = re.search(r"tensorrt\w*\.so\.([\d.]+)$", path.name)
        if found and _numbers(found[1]) != _numbers(version)[: len(_numbers(found[1]))]:
            raise BackendError(
                f"the bindings of TensorRT-RTX are {version}, its library is {found[1]}",
                FIXES["tensorrt_rtx"],
            )


def _load(path: Path) -> None:
    # The symbols must be visible to what is loaded later.
    cast("Callable[..., Any]", ctypes.CDLL)(str(path), mode=ctypes.RTLD_GLOBAL)


def _numbers(version: str) -> tuple[int, ...]:
    """ "1.7.1.116" → (1, 7, 1, 116)."""
    return tuple(int(part) for part in re.findall(r"\d+", version))
