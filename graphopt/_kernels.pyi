"""graphopt's native core: kernels per instruction set and the machine's measured ceilings."""

from collections.abc import Mapping, Sequence
from mmap import mmap
from typing import final

import numpy as np
import numpy.typing as npt

@final
class Measurement:
    """A measured rate per second: median, low and high of the samples."""

    @property
    def median(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def samples(self) -> int: ...
    @property
    def threads(self) -> int: ...

@final
class CpuIdentity:
    """Who made this CPU and which one it is."""

    @property
    def vendor(self) -> str: ...
    @property
    def model_name(self) -> str: ...
    @property
    def family(self) -> int: ...
    @property
    def model(self) -> int: ...
    @property
    def stepping(self) -> int: ...

@final
class ForeignTensor:
    """A tensor of another library, alive for as long as this object."""

    @property
    def pointer(self) -> int: ...
    @property
    def shape(self) -> list[int]: ...
    @property
    def strides(self) -> list[int]: ...
    @property
    def code(self) -> int: ...
    @property
    def bits(self) -> int: ...
    @property
    def lanes(self) -> int: ...
    @property
    def device_type(self) -> int: ...
    @property
    def device_id(self) -> int: ...

@final
class Plan:
    """A compiled region or model, opened from the bytes of a plan file.

    ``run`` and ``profile`` may be called from several threads at once. A ValueError says what is wrong
    with the plan or with the feeds, a RuntimeError what the machine refused.
    """

    def __init__(
        self,
        data: bytes | memoryview | mmap,
        weights: bytes | memoryview | mmap | None = None,
        *,
        isa: str = "best",
        threads: int = 1,
        memory_limit: int = 0,
    ) -> None:
        """Open a plan; ``data`` and ``weights`` stay in use.

        Args:
            data: the plan file.
            weights: the weights file. Of a read-only ``mmap`` (or a memoryview of one) pages are given
                back to the system once they are packed.
            isa: an instruction set, or "best": the plan's own, or this machine's best.
            threads: of one run, the caller's included; plans share the process's threads.
            memory_limit: bytes of scratch memory and packed constants; 0: none.
        """

    @property
    def inputs(self) -> list[tuple[str, str, tuple[int | str | None, ...] | None]]:
        """Name, dtype and shape of each; a dim is a size, the name of a symbolic one, or None."""

    @property
    def outputs(self) -> list[tuple[str, str, tuple[int | str | None, ...] | None]]:
        """Name, dtype and shape of each, the shape as the model declares it; None where it does not."""

    @property
    def isa(self) -> str:
        """The instruction set it runs on."""

    def run(self, feeds: dict[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Outputs by name. Their memory is used again once nobody holds them."""

    def profile(
        self, feeds: dict[str, npt.NDArray[np.generic]]
    ) -> tuple[dict[str, npt.NDArray[np.generic]], list[tuple[str, str, float]]]:
        """Outputs by name, and (node, operator, seconds) of each step of the run."""

    def memory(self) -> dict[str, int]:
        """Bytes held (arena, packed, folded), and the number of sets of shapes and of parallel runs."""

    def park(self) -> None:
        """Send threads that wait awake for a next run to sleep."""

def version() -> str:
    """Version of the native core."""

def abi_version() -> int:
    """GK_ABI_VERSION of the C ABI."""

def kernel_names() -> list[str]:
    """Names of the kernels, as `call` takes them."""

def known_isas() -> list[str]:
    """Every instruction set there is a name for, of any architecture."""

def elementwise_opcodes() -> dict[str, tuple[int, int]]:
    """Number and arity of the instructions of elementwise programs, by name."""

def isa_number(isa: str) -> int:
    """Number of an instruction set in plans and in the C ABI, or -1."""

def isa_features(isa: str) -> list[str]:
    """CPU features an instruction set needs, spelt as in cpu_features(); ValueError for an unknown one."""

def built_isas() -> list[str]:
    """Instruction sets kernels were built for, slowest first."""

def supported_isas() -> list[str]:
    """Those of built_isas() that this CPU and operating system run."""

def best_isa() -> str:
    """The last of supported_isas()."""

def cpu_features() -> list[str]:
    """Instruction-set features, spelt as in /proc/cpuinfo."""

def identify_cpu() -> CpuIdentity:
    """Vendor, model name, family, model and stepping from the CPU itself."""

def call(
    op: str,
    inputs: Sequence[npt.NDArray[np.generic]],
    outputs: Sequence[npt.NDArray[np.generic]],
    *,
    attributes: Mapping[str, int] = ...,
    isa: str = "best",
) -> None:
    """Run a kernel on arrays; outputs are written in place. The GIL is released.

    Raises ValueError when the kernel, the instruction set or the arrays do not fit.
    """

def measure_peak(
    dtype: str, *, isa: str = "best", threads: int = 1, seconds: float = 0.002, samples: int = 5
) -> Measurement:
    """Multiplications plus additions per second.

    dtype: "float32", "float64", "bfloat16" or "int8"; ValueError where the instruction set has no
    instruction for it. seconds: aimed-at time of one sample; samples: an odd number.
    """

def measure_bandwidth(
    kernel: str,
    size: int,
    *,
    isa: str = "best",
    threads: int = 1,
    seconds: float = 0.002,
    samples: int = 5,
) -> Measurement:
    """Bytes per second over a working set of `size` bytes per thread, a multiple of 128.

    kernel: "stream_copy" (bytes read plus bytes written) or "stream_read".
    """

def measure_clock(*, seconds: float = 0.002, samples: int = 5) -> Measurement:
    """Cycles per second of the core under a scalar load."""

def import_dlpack(capsule: object) -> ForeignTensor:
    """Take over what a DLPack capsule ("dltensor", "dltensor_versioned") holds; else TypeError."""

def export_dlpack(
    pointer: int,
    shape: Sequence[int],
    code: int,
    bits: int,
    device_type: int,
    device_id: int,
    owner: object,
) -> object:
    """A DLPack capsule over row-major memory that `owner` keeps alive; numbers as in dlpack.h."""
