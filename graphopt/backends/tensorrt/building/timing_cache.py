"""The builder's timings, kept between builds and never shared across cards. Imports no compiler room.

One file holds entries for several machines: one JSON line each, with a key made of everything a timing
depends on. TensorRT sees only the entry whose key is that of this very machine.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from graphopt.backends.tensorrt.architectures import gpus_here
from graphopt.backends.tensorrt.module import Library
from graphopt.errors import BackendError

if TYPE_CHECKING:
    from graphopt.backends.tensorrt import api

SCHEMA = 1
"""Of the lines; files with other lines are not ours."""

_LARGEST = 1 << 30


@dataclass(frozen=True)
class TimingCache:
    """The entry of a timing cache that belongs to this machine.

    Attributes:
        path: of the file; need not exist.
        key: what timings depend on: module, version, GPU, architecture, driver. None where the library
            keeps no timings.
    """

    path: Path
    key: dict[str, str] | None

    @classmethod
    def for_library(cls, library: Library, path: str) -> TimingCache:
        """The entry for one TensorRT on the GPU of this machine."""
        if library.name == "tensorrt_rtx" or not gpus_here():
            # TensorRT-RTX times nothing while it builds; handing it a cache makes it look for a GPU.
            return cls(Path(path), None)
        gpu = gpus_here()[0]
        return cls(
            Path(path),
            {
                "module": library.name,
                "version": library.version,
                "gpu": gpu.name,
                "architecture": gpu.architecture,
                "driver": gpu.driver,
            },
        )

    def use(self, config: api.Config) -> tuple[str, ...]:
        """Give the builder its timings; what a person should know of it.

        Raises:
            BackendError: the file is not a timing cache of graphopt.
        """
        if self.key is None:
            return ("TensorRT-RTX times nothing while it builds: the timing cache is left as it is",)
        stored = read_entries(self.path).get(entry_name(self.key), b"")
        config.set_timing_cache(config.create_timing_cache(stored), False)
        return ()

    def keep(self, config: api.Config) -> None:
        """Write what the builder knows now, beside the entries of other machines.

        Raises:
            BackendError: the file is not a timing cache of graphopt, or cannot be written.
        """
        cache = config.get_timing_cache() if self.key is not None else None
        if self.key is None or cache is None:
            return
        write_entry(self.path, self.key, bytes(memoryview(cache.serialize())))


def entry_name(key: dict[str, str]) -> str:
    """The name of an entry: a digest of its key."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def read_entries(path: Path) -> dict[str, bytes]:
    """Name → timings of every entry; empty where there is no file.

    An entry whose digest does not match its bytes is left out: a build that was cut off wrote it.

    Raises:
        BackendError: the file is not a timing cache of graphopt.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise BackendError(f"timing cache {path.name} is larger than 1 GiB", "delete it")
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _foreign(path) from error
    entries: dict[str, bytes] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            key, data = entry["key"], base64.b64decode(entry["data"])
            fits = entry["schema"] == SCHEMA and hashlib.sha256(data).hexdigest() == entry["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise _foreign(path) from error
        if fits and isinstance(key, dict):
            entries[entry_name(key)] = data
    return entries


def write_entry(path: Path, key: dict[str, str], data: bytes) -> None:
    """Put one entry into the file in the place of an older one with its key.

    Raises:
        BackendError: the file is not a timing cache of graphopt, or cannot be written.
    """
    line = json.dumps(
        {
            "schema": SCHEMA,
            "key": key,
            "sha256": hashlib.sha256(data).hexdigest(),
            "data": base64.b64encode(data).decode(),
        }
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            read_entries(path)  # a file that is not ours is not overwritten
            others = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            kept = [text for text in others if entry_name(json.loads(text)["key"]) != entry_name(key)]
            scratch = path.with_name(f"{path.name}.new")
            scratch.write_text("".join(f"{text}\n" for text in (*kept, line)), encoding="utf-8")
            scratch.replace(path)
    except OSError as error:
        raise BackendError(f"timing cache {path.name} cannot be written: {error.strerror}") from error


def _foreign(path: Path) -> BackendError:
    return BackendError(
        f"{path.name} is not a timing cache of graphopt",
        "trtexec's caches do not say which GPU they are of; name a new file",
    )
