"""``run``: an artifact on arrays from a file, once for the answer and often for a quick time."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.errors import FeedError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from graphopt.measure.stats import Summary
    from graphopt.runtime.profile import StepTime

    Array = npt.NDArray[np.generic]

_SETTLE = 10


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Attributes:
        outputs: arrays by name, in the model's order; a sequence is ``name[0]``, ``name[1]`` …, a map
            ``name[keys]`` and ``name[values]``.
        nanoseconds: of one call, over the timed calls; None when none were asked for. Calls in a row
            in one process: a quick look, not a measurement as ``bench`` makes it.
        threads: the session may use.
        steps: each step's mean time, dearest first; empty when it was not asked for.
    """

    outputs: dict[str, Array]
    nanoseconds: Summary | None
    threads: int
    steps: tuple[StepTime, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON types, arrays by dtype and shape only."""
        return {
            "outputs": {n: {"dtype": str(a.dtype), "shape": list(a.shape)} for n, a in self.outputs.items()},
            "nanoseconds": None if self.nanoseconds is None else self.nanoseconds.to_json(),
            "threads": self.threads,
            "steps": [step.to_json() for step in self.steps],
        }


def run(
    artifact: str | os.PathLike[str],
    inputs: str | os.PathLike[str] | None = None,
    *,
    outputs: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    fallback: bool = False,
    repeat: int = 0,
    device: int = 0,
    cuda_graph: bool = False,
    isa: str = "",
    profiled: int = 0,
) -> RunResult:
    """Run an artifact on the arrays of an ``.npz`` file.

    Args:
        artifact: ``.gopt`` folder or packed file.
        inputs: ``.npz`` file with one array per input; None for a model that takes none.
        outputs: ``.npz`` file to write, whole or not at all.
        threads: of the session; None for what affinity and the container allow.
        fallback: let ONNX Runtime take regions whose own backend is missing here.
        repeat: how many more calls to time.
        device: number of the GPU, for an artifact that runs on one.
        cuda_graph: launch the GPU's work as one recorded graph.
        isa: instruction set to hold graphopt's own kernels to.
        profiled: how many more calls to time step by step.

    Raises:
        ArtifactError, BackendError, FeedError: it cannot be opened, fed or run, or ``outputs`` not written.
    """
    from graphopt.equality.arrays import flatten_outputs
    from graphopt.equality.feedfile import load_feeds
    from graphopt.measure.stats import summarize
    from graphopt.measure.worker import run_block
    from graphopt.runtime.session import load

    feeds = load_feeds(inputs) if inputs is not None else {}
    session = load(
        artifact, threads=threads, fallback=fallback, device=device, cuda_graph=cuda_graph, isa=isa
    )
    results = flatten_outputs(session.run(feeds))
    if outputs is not None:
        save_outputs(outputs, results)
    summary = None
    if repeat:
        block = run_block(partial(session.run, feeds), repeat, min(_SETTLE, repeat))
        summary = summarize(block["samples_ns"])
    steps: tuple[StepTime, ...] = ()
    if profiled:
        from graphopt.runtime.profile import mean_times, profile

        steps = mean_times([profile(session, feeds) for _ in range(profiled)])
    return RunResult(results, summary, session.threads, steps)


def save_outputs(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write arrays under their own names, in one step; types NumPy's format lacks become float32.

    Raises:
        ArtifactError: the file cannot be written; nothing is left behind.
        FeedError: a name that cannot be a file's inside the archive.
    """
    from graphopt.artifact.atomic import install, remove, sibling
    from graphopt.artifact.replace import write_error

    target = Path(path)
    scratch = sibling(target)
    try:
        _write(scratch, arrays)
        install(scratch, target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        with suppress(OSError):
            remove(scratch)


def _write(path: Path, arrays: Mapping[str, Array]) -> None:
    import numpy as np

    with zipfile.ZipFile(path, "x", allowZip64=True) as archive:
        for name, array in arrays.items():
            if "\0" in name or not name:
                raise FeedError(f"the output name {name!r} cannot be stored in an .npz file")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _storable(array), allow_pickle=False)


def _storable(array: Array) -> Array:
    import numpy as np

    if array.dtype == object:
        return array.astype(np.str_)
    if array.dtype.isbuiltin == 2:  # bfloat16, float8, int4: registered by ml_dtypes
        return array.astype(np.float32)
    return array
