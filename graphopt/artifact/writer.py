"""Write an artifact: everything into a hidden sibling folder, then one rename."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import onnx_ir as ir

from graphopt.artifact import atomic
from graphopt.artifact.manifest import (
    MANIFEST_NAME,
    MODEL_NAME,
    FileEntry,
    Manifest,
    RegionEntry,
)
from graphopt.artifact.replace import check_replaceable, write_error
from graphopt.artifact.weights import WeightFile
from graphopt.backends.base import Blob
from graphopt.backends.executable import WEIGHTS_NAME, TensorInfo
from graphopt.backends.flatten import flatten
from graphopt.backends.serialize import serialize
from graphopt.errors import ArtifactError

T = TypeVar("T")


class ArtifactWriter:
    """Collects the parts of one artifact; ``commit`` makes it appear complete or not at all.

    ::

        with ArtifactWriter("model.gopt", writer="graphopt 0.1.0") as writer:
            blob = backend.build(region, BuildOptions(target, threads, writer.weights))
            writer.add_region(blob, inputs, outputs)
            writer.add_model(model)
            writer.commit(inputs=…, outputs=…, target=…, threads=…, details={…})

    Leaving the block without ``commit``, by an exception or not, removes everything written.

    Raises:
        ArtifactError: from every method, when the output cannot be written (no such folder, no
            permission, no space) or something that is not an artifact is in the way.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, writer: str = "graphopt", called: Path | None = None
    ) -> None:
        """Begin an artifact.

        Args:
            path: the folder to create or replace.
            writer: the program and its version.
            called: what a person knows it by, where ``path`` is a name for the time being.
        """
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow a symlink)
        self._called = called or self.path
        self._writer = writer
        self._folder = atomic.sibling(self.path)
        self._files: dict[str, FileEntry] = {}
        self._regions: list[RegionEntry] = []
        self.weights = WeightFile(self._folder / WEIGHTS_NAME, self._failure)
        """Where ``build`` puts weights: a ``WeightSink``."""

    def __enter__(self) -> ArtifactWriter:
        check_replaceable(self.path)
        self._do(self._folder.mkdir)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ArtifactError):
            self.weights.close()
        # After a commit the folder has moved and there is nothing left to remove.
        atomic.remove(self._folder)

    def add_file(self, name: str, data: bytes | str) -> None:
        """Write one file; text as UTF-8. ``name`` is relative, with ``/``; its folders are created."""
        content = data.encode() if isinstance(data, str) else data
        if name in self._files or name in (MANIFEST_NAME, WEIGHTS_NAME):
            raise ArtifactError(f"the artifact already has a file '{name}'")
        target = self._folder / name
        self._do(lambda: target.parent.mkdir(parents=True, exist_ok=True))
        self._do(lambda: target.write_bytes(content))
        self._files[name] = FileEntry(len(content), hashlib.sha256(content).hexdigest())

    def add_region(self, blob: Blob, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Add a built region; regions run in the order they are added.

        Args:
            blob: built with this writer's ``weights`` as its sink.
            inputs: values it takes, by their names in the whole model.
            outputs: values it gives.
        """
        name = f"regions/{len(self._regions)}.{blob.backend}"
        self.add_file(name, blob.data)
        self._regions.append(
            RegionEntry(blob.backend, name, tuple(inputs), tuple(outputs), dict(blob.options))
        )

    def adopt(self, other: ArtifactWriter) -> None:
        """Start with the regions and weights of an artifact that was committed, as they are.

        Args:
            other: its writer. Its files are shared where the file system can, so the artifact is no
                longer to be opened once more weights are added here.
        """
        for name in (*(region.file for region in other._regions), WEIGHTS_NAME):
            source, target = other.path / name, self._folder / name
            if name not in other._files:
                continue
            self._do(partial(target.parent.mkdir, parents=True, exist_ok=True))
            self._do(partial(_link_or_copy, source, target))
            if name != WEIGHTS_NAME:
                self._files[name] = other._files[name]
        self._regions = list(other._regions)
        self.weights = self._do(lambda: other.weights.resumed(self._folder / WEIGHTS_NAME, self._failure))

    def add_model(self, model: ir.Model, name: str = MODEL_NAME) -> None:
        """Add a whole model as ONNX, its weights in the weights file, for Netron and other tools."""
        self.add_file(name, serialize(flatten(model, inline=False), self.weights))

    def commit(
        self,
        *,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        target: Mapping[str, Any] | None = None,
        threads: int | None = None,
        details: Mapping[str, Any] | None = None,
        lasting: bool = True,
    ) -> Manifest:
        """Write the manifest, flush everything to the disk and put the folder in its place.

        Args:
            inputs: of the whole model.
            outputs: of the whole model.
            target: the machine compiled for, as plain JSON.
            threads: threads compiled for.
            details: further manifest fields, plain JSON.
            lasting: wait for the disk; False for an artifact that this process removes again, or adopts.
        """
        if entry := self.weights.close():
            self._files[WEIGHTS_NAME] = entry
        manifest = Manifest(
            writer=self._writer,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            regions=tuple(self._regions),
            files=self._files,
            threads=threads,
            target=target or {},
            details=details or {},
        )
        data = manifest.to_bytes()
        self._do(lambda: (self._folder / MANIFEST_NAME).write_bytes(data))
        if lasting:
            self._do(lambda: atomic.sync_tree(self._folder))
        check_replaceable(self.path)
        self._do(lambda: atomic.install(self._folder, self.path))
        return manifest

    def _do(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> ArtifactError:
        return write_error(self._called, error)


def _link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
