"""Session: run an artifact, region by region. Imports no compiler room."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from graphopt.artifact.manifest import MODEL_NAME, RegionEntry
from graphopt.artifact.reader import Artifact, open_artifact
from graphopt.backends.executable import Array, Executable, RegionBlob, TensorInfo
from graphopt.backends.registry import find_loader
from graphopt.errors import ArtifactError, BackendError, GraphoptError
from graphopt.runtime.machine import machine_notice
from graphopt.runtime.schedule import plan
from graphopt.targets.threads import available_threads

FALLBACK_BACKEND = "onnxruntime"
_LOG = logging.getLogger("graphopt")

Run = Callable[[Mapping[str, Array]], dict[str, Array]]


class Session:
    """An open artifact.

    ``run`` may be called from several threads at once; the GIL is released while a region computes.

    Attributes:
        inputs: what ``run`` takes: name, dtype, shape.
        outputs: what ``run`` returns, in the model's order.
        threads: threads one run uses, the caller included.
        notices: what a person should know about running this artifact here; usually empty.
        artifact: the checked artifact the session was opened from.
    """

    def __init__(self, artifact: Artifact, *, threads: int | None = None, fallback: bool = False) -> None:
        """Open every region of a checked artifact; arguments and errors as for ``load``."""
        manifest = artifact.manifest
        self.artifact = artifact
        self.inputs: tuple[TensorInfo, ...] = manifest.inputs
        self.outputs: tuple[TensorInfo, ...] = manifest.outputs
        self.threads: int = threads or manifest.threads or available_threads()
        notice = machine_notice(manifest.target)
        self.notices: tuple[str, ...] = (notice,) if notice else ()
        try:
            self._compute = _open_regions(artifact, self.threads)
        except BackendError as error:
            if not fallback or MODEL_NAME not in manifest.files:
                raise
            self.notices += (f"running on {FALLBACK_BACKEND} instead: {error.message}",)
            self._compute = _open_model(artifact, self.threads)
        for text in self.notices:
            _LOG.warning("%s: %s", artifact.path, text)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output.

        Args:
            feeds: one array per input, of its dtype and shape.

        Returns:
            One array per output, by name, in the model's order.

        Raises:
            FeedError: an input is missing, unknown or does not fit; the message says what is expected.
            BackendError: the computation failed; the message names the node.
        """
        return self._compute(feeds)


def load(path: str | os.PathLike[str], *, threads: int | None = None, fallback: bool = False) -> Session:
    """Open an artifact for running.

    Args:
        path: a ``.gopt`` folder or packed file.
        threads: threads one run may use, the caller included; None takes what the artifact was
            compiled for, else what this process may use.
        fallback: where a backend of the artifact is not available or refuses this machine, run the
            whole model on ONNX Runtime instead of failing.

    Raises:
        ArtifactError: there is no artifact, or it is damaged, foreign or of an unknown version.
        BackendError: a backend is not installed or refuses this machine; the hint says what to do.
    """
    while True:
        artifact = open_artifact(path)
        try:
            session = Session(artifact, threads=threads, fallback=fallback)
        except GraphoptError:
            if artifact.is_current():
                raise
            continue
        # A backend may have mapped files by name: they must be those that were checked.
        if artifact.is_current():
            return session


def _open_regions(artifact: Artifact, threads: int) -> Run:
    manifest = artifact.manifest
    executables = [_open_region(artifact, region, threads) for region in manifest.regions]
    if len(executables) == 1 and _is_whole(executables[0], artifact):
        # The region does the whole job: nothing may stand between the caller and its runtime.
        return executables[0].run
    return plan(manifest.regions, executables, manifest.inputs, manifest.outputs).run


def _open_region(artifact: Artifact, region: RegionEntry, threads: int) -> Executable:
    executable = find_loader(region.backend)(_blob(artifact, region.file, region.options, threads))
    offered = {info.name for info in executable.outputs}
    needed = {info.name for info in executable.inputs if not info.optional}
    if not offered.issuperset(region.outputs) or not needed.issubset(region.inputs):
        raise ArtifactError(
            f"{artifact.path}: '{region.file}' computes something else than the manifest says"
        )
    return executable


def _open_model(artifact: Artifact, threads: int) -> Run:
    executable = find_loader(FALLBACK_BACKEND)(_blob(artifact, MODEL_NAME, {}, threads))
    return executable.run


def _blob(artifact: Artifact, file: str, options: Mapping[str, Any], threads: int) -> RegionBlob:
    return RegionBlob(
        data=artifact.read(file),
        options=options,
        weights=artifact.weights,
        threads=threads,
        target=artifact.manifest.target,
        folder=str(artifact.path),
    )


def _is_whole(executable: Executable, artifact: Artifact) -> bool:
    """Whether a region takes and gives exactly what the model does, in the same order of outputs."""
    manifest = artifact.manifest
    same_inputs = {info.name for info in executable.inputs} == {info.name for info in manifest.inputs}
    return same_inputs and [i.name for i in executable.outputs] == [i.name for i in manifest.outputs]
