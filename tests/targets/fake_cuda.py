"""A libcuda with as many GPUs as a test wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class FakeCuda:
    """The calls of libcuda that graphopt makes; arguments arrive as ctypes' references."""

    version: int = 13000
    init: int = 0
    gpus: tuple[tuple[str, int, int, int], ...] = (("NVIDIA L4", 8, 9, 24 << 30),)

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: N802
        number._obj.value = self.version
        return 0

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.init

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        name.value = self.gpus[device.value][0].encode()
        return 0

    def cuDeviceGetAttribute(self, value: Any, which: int, device: Any) -> int:  # noqa: N802
        value._obj.value = self.gpus[device.value][1 if which == 75 else 2]
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, device: Any) -> int:  # noqa: N802
        memory._obj.value = self.gpus[device.value][3]
        return 0
