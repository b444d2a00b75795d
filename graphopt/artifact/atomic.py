"""Put a finished file or folder in its place in one step, or leave what was there."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def sibling(path: Path) -> Path:
    """A fresh hidden name beside ``path``, on the same file system."""
    return path.with_name(f".{path.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}.partial")


def sync_tree(path: Path) -> None:
    """Flush a file, or a folder with everything in it, to the disk."""
    if path.is_dir():
        for child in path.iterdir():
            sync_tree(child)
    _sync(path)


def install(new: Path, path: Path) -> None:
    """Move ``new`` to ``path``, atomically replacing a file or folder that is there.

    Whoever has the old one open keeps a complete old one. Raises OSError; ``path`` is then as it was.
    """
    if not path.is_symlink() and not path.is_dir() and not new.is_dir():
        new.replace(path)
    elif not path.exists() and not path.is_symlink():
        new.rename(path)
    else:
        _swap(new, path)
        remove(new)
    _sync(path.parent)


def remove(path: Path) -> None:
    """Delete a file or folder if it is there and can be deleted: cleaning up never hides what went wrong."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot sync a folder: the rename itself is still atomic.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _swap(new: Path, path: Path) -> None:
    """Exchange two names in one system call; where there is none, by way of a third name."""
    if _exchange(new, path):
        return
    aside = sibling(path)
    path.rename(aside)
    try:
        new.rename(path)
    except OSError:
        aside.rename(path)
        raise
    aside.rename(new)


def _exchange(a: Path, b: Path) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0)
