"""What a loaded region offers the runtime. Imports no compiler room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from graphopt.backends.cuda.device import Device
    from graphopt.backends.cuda.stream import Stream
    from graphopt.backends.device_array import Value

Array = npt.NDArray[np.generic]

WEIGHTS_NAME = "weights.bin"
"""The file of an artifact that holds large weights; serialised regions refer to it by this name."""


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a model or region.

    Attributes:
        name: as in the model.
        dtype: ``float32``, ``int64``, ``bfloat16``, ``string`` …; another type (a sequence, a map,
            an optional) is spelled as ONNX does, such as ``seq(tensor(float32))``.
        shape: a size, the name of a symbolic dim, or None for an unnamed one; None for the whole
            shape when not even the rank is known.
        optional: whether it may be left out of the feeds (it has a default value).
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None
    optional: bool = False

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name}: {self.dtype}"
        return f"{self.name}: {self.dtype}[{', '.join('?' if d is None else str(d) for d in self.shape)}]"


class Executable(Protocol):
    """A loaded region. ``run`` may be called from several threads at once."""

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """What ``run`` takes."""

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """What ``run`` returns."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output; raises FeedError or BackendError."""


class DeviceExecutable(Executable, Protocol):
    """A loaded region that runs on a GPU. ``enqueue`` may be called from several threads at once."""

    @property
    def device(self) -> Device:
        """The GPU it runs on."""

    def enqueue(self, feeds: Mapping[str, Value], stream: Stream) -> dict[str, Value]:
        """Put a run on a stream of that GPU, which is the current one.

        Feeds are numpy arrays or arrays on the GPU that later work on ``stream`` may use; so are the
        outputs. Raises FeedError or BackendError.
        """


@dataclass(frozen=True)
class RegionBlob:
    """A region as it comes out of an artifact.

    Attributes:
        data: the bytes ``build`` made, mapped.
        options: the JSON ``build`` left beside them; untrusted.
        weights: the artifact's weights file, mapped, or None.
        threads: threads one run may use, the caller included.
        target: the machine the artifact was compiled for, as JSON.
        folder: the artifact's own path: the only place a loader may read files from.
        device: number of the GPU to run on, where the backend runs on one.
        cuda_graph: record runs on a GPU and launch them as one.
        isa: instruction set to hold kernels to, by its name; empty takes what the region was built for.
        alone: no other region runs before or after it: its idle threads disturb nobody.
    """

    data: memoryview
    options: Mapping[str, Any]
    weights: memoryview | None
    threads: int
    target: Mapping[str, Any]
    folder: str
    device: int = 0
    cuda_graph: bool = False
    isa: str = ""
    alone: bool = True


class Loader(Protocol):
    """``load`` of a backend's ``load.py``."""

    def __call__(self, blob: RegionBlob) -> Executable:
        """Open a region.

        Raises BackendError when the runtime is missing, or when the region was built for hardware
        this machine does not have: then the hint says how to recompile.
        """
