"""Run regions of which some are on a GPU: one stream, values stay where they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphopt.artifact.manifest import RegionEntry
from graphopt.backends.cuda.borrow import borrow, is_foreign
from graphopt.backends.cuda.device import Device
from graphopt.backends.cuda.stream import Event, Stream, stream_handle
from graphopt.backends.cuda.transfer import fetch, upload
from graphopt.backends.device_array import DeviceArray
from graphopt.backends.executable import Executable, TensorInfo
from graphopt.backends.feed_check import explain_feeds
from graphopt.errors import FeedError
from graphopt.runtime.schedule import plan_steps


class DeviceSchedule:
    """Regions in running order, at least one of them on a GPU. ``run`` is thread-safe."""

    def __init__(
        self,
        device: Device,
        regions: Sequence[RegionEntry],
        executables: Sequence[Executable],
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
    ) -> None:
        """``inputs`` and ``outputs`` are the whole model's; every GPU region is on ``device``."""
        self.device = device
        self._steps = plan_steps(regions, executables, outputs)
        self._enqueue: tuple[Callable[..., dict[str, Any]] | None, ...] = tuple(
            getattr(step.executable, "enqueue", None) for step in self._steps
        )
        self._inputs = tuple(inputs)
        self._outputs = tuple(info.name for info in outputs)
        self._input_names = {info.name for info in inputs}

    def run(self, feeds: Mapping[str, Any], stream: object = None) -> dict[str, Any]:
        """Compute every output.

        Args:
            feeds: numpy arrays, or arrays of any library with DLPack, on this GPU or the host.
            stream: the caller's stream, of torch, cupy or as an address: the run starts after what is on
                it now, and later work on it finds the outputs. None where arrays say themselves when
                they are ready, as those with DLPack do.

        Returns:
            arrays on the GPU, filled in stream order, when a feed was on the GPU; else numpy arrays, for
            which it has waited.

        Raises:
            FeedError, BackendError: as ``Session.run``.
        """
        if feeds.keys() != self._input_names and (problem := self._explain(feeds, symbols=False)):
            raise problem
        theirs = None if stream is None else stream_handle(stream)
        with self.device.lend_stream() as ours:
            if theirs is not None:
                ours.wait_for(theirs)
            values = {name: self._take(name, value, ours) for name, value in feeds.items()}
            borrowed = [value for value in values.values() if isinstance(value, DeviceArray)]
            try:
                results = self._compute(values, ours)
            except FeedError as error:
                # A region sees its own inputs only: say it in terms of the whole model where possible.
                raise self._explain(feeds, symbols=True) or error from error
            finally:
                # Whatever was put on the stream reads them, even where the rest failed.
                done = ours.record()
                ours.hold(done, *borrowed)
            if not borrowed:
                return fetch(results, ours)
            return self._hand_over(results, ours, theirs, done)

    def _compute(self, values: dict[str, Any], stream: Stream) -> dict[str, Any]:
        for step, enqueue in zip(self._steps, self._enqueue, strict=True):
            inputs = {name: values[name] for name in step.inputs if name in values}
            if enqueue is None:
                values |= step.executable.run(self._on_host(inputs, values, stream))
            else:
                values |= enqueue(inputs, stream)
            for name in step.dead:
                values.pop(name, None)
        return {name: values[name] for name in self._outputs}

    def _on_host(self, inputs: dict[str, Any], values: dict[str, Any], stream: Stream) -> dict[str, Any]:
        """The inputs of a region on the CPU; what was copied for it is remembered for the next."""
        fetched = fetch(inputs, stream)
        # An output of the model that is on the GPU is better handed out from there.
        values |= {name: array for name, array in fetched.items() if name not in self._outputs}
        return fetched

    def _take(self, name: str, value: Any, stream: Stream) -> Any:
        return borrow(value, self.device, stream, f"input '{name}'") if is_foreign(value) else value

    def _hand_over(
        self, results: dict[str, Any], ours: Stream, theirs: int | None, computed: Event
    ) -> dict[str, Any]:
        """Outputs as arrays on the GPU that the caller's work may use."""
        uploaded = [name for name, value in results.items() if _is_tensor(value)]
        for name in uploaded:
            results[name] = upload(results[name], self.device, ours)
        ready = ours.record() if uploaded else computed
        for value in results.values():
            if isinstance(value, DeviceArray):
                value.written(ready)
                if theirs is not None:
                    value.read_by(theirs)
        if theirs is not None:
            ours.let_wait(theirs, ready)
        return results

    def _explain(self, feeds: Mapping[str, Any], *, symbols: bool) -> FeedError | None:
        return explain_feeds(self._inputs, _described(feeds), symbols=symbols, device_arrays=True)


def _described(feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Feeds as things with numpy's dtype and a shape; torch spells dtypes in its own way."""
    return {name: _Described(value) if is_foreign(value) else value for name, value in feeds.items()}


class _Described:
    """Dtype and shape of somebody else's array."""

    def __init__(self, value: Any) -> None:
        import ml_dtypes

        name = str(value.dtype).rpartition(".")[2]
        try:
            self.dtype = np.dtype(getattr(ml_dtypes, name, name))
        except TypeError:
            self.dtype = np.dtype(object)
        self.shape = tuple(value.shape)
        self.ndim = len(self.shape)


def _is_tensor(value: object) -> bool:
    """Whether a result belongs on the GPU: a numpy array of something a GPU computes with."""
    return isinstance(value, np.ndarray) and value.dtype.kind not in "OUS"
