"""Session: run an artifact, region by region. Imports no compiler room."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphopt.artifact.manifest import MODEL_NAME, RegionEntry
from graphopt.artifact.reader import Artifact, open_artifact
from graphopt.backends.executable import Array, Executable, RegionBlob, TensorInfo
from graphopt.backends.registry import find_loader
from graphopt.errors import ArtifactError, BackendError, GraphoptError, UsageError
from graphopt.runtime.machine import machine_notice
from graphopt.runtime.schedule import plan
from graphopt.targets.threads import available_threads

if TYPE_CHECKING:
    from graphopt.backends.cuda.device import Device

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
        device: the GPU it runs on, or None where everything runs on the CPU.
        regions: what runs, in order: the manifest's entry and the open region.
    """

    def __init__(
        self,
        artifact: Artifact,
        *,
        threads: int | None = None,
        fallback: bool = False,
        device: int = 0,
        cuda_graph: bool = False,
        isa: str = "",
    ) -> None:
        """Open every region of a checked artifact; arguments and errors as for ``load``."""
        manifest = artifact.manifest
        self.artifact = artifact
        self.inputs: tuple[TensorInfo, ...] = manifest.inputs
        self.outputs: tuple[TensorInfo, ...] = manifest.outputs
        self.threads: int = threads or manifest.threads or available_threads()
        notice = machine_notice(manifest.target)
        self.notices: tuple[str, ...] = (notice,) if notice else ()
        opener = _Opener(artifact, self.threads, device, cuda_graph, isa)
        entries: Sequence[RegionEntry] = manifest.regions
        try:
            executables = opener.regions()
        except BackendError as error:
            if not fallback or MODEL_NAME not in manifest.files:
                raise
            self.notices += (f"running on {FALLBACK_BACKEND} instead: {error.message}",)
            executables = [opener.model()]
            entries = (_whole_model(artifact),)
        for executable in executables:
            self.notices += tuple(getattr(executable, "notices", ()))
        self.notices = tuple(dict.fromkeys(self.notices))
        self.device: Device | None = _device_of(executables)
        self.regions: tuple[tuple[RegionEntry, Executable], ...] = tuple(
            zip(entries, executables, strict=True)
        )
        self._compute, self._compute_on = _bind(artifact, entries, executables, self.device)
        for text in self.notices:
            _LOG.warning("%s: %s", artifact.path, text)

    def run(self, feeds: Mapping[str, Any], stream: object = None) -> dict[str, Any]:
        """Compute every output.

        Args:
            feeds: one array per input, of its dtype and shape. A session on a GPU also takes arrays of
                other libraries (torch, cupy, whatever has DLPack) without copying them.
            stream: for a session on a GPU, the caller's stream (``torch.cuda.current_stream()``, a cupy
                stream, an address): the run starts after what is on it now, and later work on it finds
                the outputs. Without it a feed must not be written to before the outputs are taken over.

        Returns:
            One array per output, by name, in the model's order. They are on the GPU when a feed was
            (``DeviceArray``, for ``torch.from_dlpack`` and the like) and may still be being filled:
            whoever takes them over waits as long as is needed. Else they are numpy's.

        Raises:
            FeedError: an input is missing, unknown or does not fit; the message says what is expected.
            BackendError: the computation failed; the message names the node.
            UsageError: there is no GPU in this session, or ``stream`` is no stream.
        """
        if stream is None:
            return self._compute(feeds)
        return self._compute_on(feeds, stream)


def load(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    fallback: bool = False,
    device: int = 0,
    cuda_graph: bool = False,
    isa: str = "",
) -> Session:
    """Open an artifact for running.

    Args:
        path: a ``.gopt`` folder or packed file.
        threads: threads one run may use, the caller included; None takes what the artifact was
            compiled for, else what this process may use.
        fallback: where a backend of the artifact is not available or refuses this machine, run the
            whole model on ONNX Runtime instead of failing.
        device: number of the GPU, for an artifact that runs on one.
        cuda_graph: record the GPU's work at the first run of each set of shapes and launch it as one
            from then on; worth it for small models, whose time is mostly launching.
        isa: instruction set to hold graphopt's own kernels to ("avx2"); empty takes the fastest, or the one
            the artifact was held to when it was compiled.

    Raises:
        ArtifactError: there is no artifact, or it is damaged, foreign or of an unknown version.
        BackendError: a backend is not installed or refuses this machine; the hint says what to do.
        UsageError: there is no GPU of that number.
    """
    while True:
        artifact = open_artifact(path)
        try:
            session = Session(
                artifact, threads=threads, fallback=fallback, device=device, cuda_graph=cuda_graph, isa=isa
            )
        except GraphoptError:
            if artifact.is_current():
                raise
            continue
        # A backend may have mapped files by name: they must be those that were checked.
        if artifact.is_current():
            return session


@dataclass(frozen=True)
class _Opener:
    """Opens what an artifact holds, all of it in the same way.

    Attributes:
        artifact: the checked artifact.
        threads: threads one run may use.
        device: number of the GPU.
        cuda_graph: record runs on it.
        isa: instruction set to hold kernels to.
    """

    artifact: Artifact
    threads: int
    device: int
    cuda_graph: bool
    isa: str

    def regions(self) -> list[Executable]:
        """Every region, in running order."""
        return [self._region(region) for region in self.artifact.manifest.regions]

    def model(self) -> Executable:
        """The whole model on the fallback backend."""
        return find_loader(FALLBACK_BACKEND)(self._blob(MODEL_NAME, {}))

    def _region(self, region: RegionEntry) -> Executable:
        executable = find_loader(region.backend)(self._blob(region.file, region.options))
        offered = {info.name for info in executable.outputs}
        needed = {info.name for info in executable.inputs if not info.optional}
        if not offered.issuperset(region.outputs) or not needed.issubset(region.inputs):
            raise ArtifactError(
                f"{self.artifact.path}: '{region.file}' computes something else than the manifest says"
            )
        return executable

    def _blob(self, file: str, options: Mapping[str, Any]) -> RegionBlob:
        return RegionBlob(
            data=self.artifact.read(file),
            options=options,
            weights=self.artifact.weights,
            threads=self.threads,
            target=self.artifact.manifest.target,
            folder=str(self.artifact.path),
            device=self.device,
            cuda_graph=self.cuda_graph,
            isa=self.isa,
            alone=file == MODEL_NAME or len(self.artifact.manifest.regions) == 1,
        )


def _whole_model(artifact: Artifact) -> RegionEntry:
    """The fallback model as if it were a region."""
    inputs = tuple(info.name for info in artifact.manifest.inputs)
    outputs = tuple(info.name for info in artifact.manifest.outputs)
    return RegionEntry(FALLBACK_BACKEND, MODEL_NAME, inputs, outputs)


def _bind(
    artifact: Artifact,
    regions: Sequence[RegionEntry],
    executables: Sequence[Executable],
    device: Device | None,
) -> tuple[Run, Callable[..., dict[str, Any]]]:
    """What ``run`` calls without a stream and with one."""
    manifest = artifact.manifest
    whole = len(executables) == 1 and _is_whole(executables[0], artifact)
    if device is not None:
        from graphopt.runtime.device_schedule import DeviceSchedule

        schedule = DeviceSchedule(device, regions, executables, manifest.inputs, manifest.outputs)
        return schedule.run, schedule.run
    if whole:
        # The region does the whole job: nothing may stand between the caller and its runtime.
        return executables[0].run, _no_stream
    return plan(regions, executables, manifest.inputs, manifest.outputs).run, _no_stream


def _device_of(executables: Sequence[Executable]) -> Device | None:
    """The GPU the regions run on; all of one session are on the same."""
    return next(filter(None, (getattr(executable, "device", None) for executable in executables)), None)


def _no_stream(feeds: Mapping[str, Any], stream: object) -> dict[str, Any]:  # noqa: ARG001 (as with one)
    raise UsageError("this session runs on the CPU: it has no streams", "call run(feeds)")


def _is_whole(executable: Executable, artifact: Artifact) -> bool:
    """Whether a region takes and gives exactly what the model does, in the same order of outputs."""
    manifest = artifact.manifest
    same_inputs = {info.name for info in executable.inputs} == {info.name for info in manifest.inputs}
    return same_inputs and [i.name for i in executable.outputs] == [i.name for i in manifest.outputs]
