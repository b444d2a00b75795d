"""One inference on a GPU as a callable: inputs and outputs stay there, several input sets take turns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphopt.backends.cuda.device import Device
from graphopt.backends.cuda.stream import Stream
from graphopt.backends.cuda.transfer import upload
from graphopt.equality.feedfile import load_feeds

Launch = Callable[[Mapping[str, Any], Stream], Mapping[str, Any]]

_TIMED = 0


class GpuCall:
    """Calling it does one whole inference and waits for it; ``event_times`` asks the GPU's own clock."""

    def __init__(self, device: Device, launch: Launch, feeds: Sequence[str]) -> None:
        """``launch`` puts one inference on a stream; ``feeds`` are ``.npz`` files, one for each input set."""
        self._device = device
        self._launch = launch
        with device.active():
            self._stream = Stream(device.cuda, device.index)
            sets = [
                {name: upload(array, device, self._stream) for name, array in load_feeds(file).items()}
                for file in feeds
            ]
            self._stream.synchronize()
        self._sets = itertools.cycle(sets)

    def __call__(self) -> None:
        """One inference, from launching it to having its outputs in the GPU's memory."""
        with self._device.active():
            self._launch(next(self._sets), self._stream)
            self._stream.synchronize()

    def event_times(self, n: int) -> list[float]:
        """Nanoseconds between events before and after each of ``n`` inferences, one after the other."""
        cuda = self._device.cuda
        times = []
        with self._device.active():
            before, after = cuda.cudaEventCreateWithFlags(_TIMED), cuda.cudaEventCreateWithFlags(_TIMED)
            for _ in range(n):
                cuda.cudaEventRecord(before, self._stream.handle)
                self._launch(next(self._sets), self._stream)
                cuda.cudaEventRecord(after, self._stream.handle)
                self._stream.synchronize()
                times.append(1e6 * float(cuda.cudaEventElapsedTime(before, after)))
            for event in (before, after):
                cuda.cudaEventDestroy(event)
        return times
