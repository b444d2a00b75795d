"""The CUDA runtime through ``cuda-bindings``: every call is checked. Imports no compiler room."""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata
from typing import Any

from graphopt.errors import BackendError
from graphopt.targets.cuda_driver import cuda_driver

_FALLBACK = "or run the fallback model: fallback=True, --fallback"

MEMCPY_DEFAULT = 4
"""``cudaMemcpyDefault``: the driver sees from the addresses which way to copy."""

_OUT_OF_MEMORY = 2
_TOO_OLD_DRIVER = 35
_NO_DEVICE = 100
_HINTS = {
    _OUT_OF_MEMORY: "free memory on the GPU, run smaller shapes, or compile with a smaller --workspace",
    _TOO_OLD_DRIVER: "update the NVIDIA driver",
    _NO_DEVICE: "look at CUDA_VISIBLE_DEVICES and `nvidia-smi`",
    3: "graphopt doctor",
    46: "another process holds the GPU for itself: see `nvidia-smi`",
    802: "wait until the GPU's services have started, or reboot",
    803: "driver and kernel module differ: reboot",
    804: "remove the CUDA compatibility libraries or update the NVIDIA driver",
}


class CudaError(BackendError):
    """A call of the CUDA runtime failed.

    ``code`` is the number of the ``cudaError_t``.
    """

    def __init__(self, message: str, hint: str, code: int) -> None:
        super().__init__(message, hint)
        self.code = code


class Cuda:
    """The CUDA runtime's functions, by their own names, raising instead of returning a status.

    ``cuda.cudaMemcpyAsync(…)`` returns what comes after the status: nothing, one value or a tuple.
    """

    def __init__(self, api: Any) -> None:
        """``api`` is ``cuda.bindings.runtime``."""
        self._api = api

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._api, name)

        def checked(*arguments: Any) -> Any:
            status, *values = function(*arguments)
            if int(status):
                raise self._error(name, int(status))
            return values[0] if len(values) == 1 else tuple(values) or None

        setattr(self, name, checked)
        return checked

    def status(self, name: str, *arguments: Any) -> int:
        """Call a function for its status alone: ``cudaEventQuery`` and whatever runs while cleaning up."""
        return int(getattr(self._api, name)(*arguments)[0])

    def constant(self, kind: str, number: int) -> Any:
        """A number as the enumeration the bindings insist on: ``("cudaMemcpyKind", 4)``."""
        return getattr(self._api, kind)(number)

    def make(self, kind: str) -> Any:
        """A structure with its defaults: ``cudaMemPoolProps``."""
        return getattr(self._api, kind)()

    @staticmethod
    def word64(number: int) -> Any:
        """An unsigned number of 64 bits, as attributes of memory pools take it."""
        return import_module("cuda.bindings.driver").cuuint64_t(number)

    def forget_error(self) -> None:
        """Let nobody else find the status of a call that failed here: CUDA keeps the last one."""
        self.status("cudaGetLastError")

    def _error(self, name: str, code: int) -> CudaError:
        self.forget_error()
        try:
            words = self._api.cudaGetErrorString(self._api.cudaError_t(code))[1]
            text = words.decode() if isinstance(words, bytes) else str(words)
        except ValueError:  # a code younger than the bindings
            text = f"error {code}"
        if code == _OUT_OF_MEMORY:
            return CudaError("the GPU has not enough free memory", _HINTS[code], code)
        return CudaError(f"CUDA: {text} ({name})", _HINTS.get(code, "graphopt doctor"), code)


@cache
def open_cuda() -> Cuda:
    """The CUDA runtime of this process.

    Raises:
        BackendError: cuda-bindings is not installed, there is no driver, or the driver is too old.
    """
    try:
        api = import_module("cuda.bindings.runtime")
    except ImportError as error:
        found = cuda_driver()
        if found.cuda is None:
            # What could be installed would not help.
            raise BackendError(found.reason, f"{found.fix}, {_FALLBACK}") from error
        fix = f"pip install 'cuda-bindings=={found.cuda[0]}.*'"
        raise BackendError(f"cuda-bindings cannot be imported: {error}", fix) from error
    cuda = Cuda(api)
    driver, needed = cuda.cudaDriverGetVersion(), cuda.cudaRuntimeGetVersion()
    if not driver:
        raise BackendError(
            "there is no NVIDIA driver here", f"run it on a machine with an NVIDIA GPU, {_FALLBACK}"
        )
    # Within one major version an older driver runs a newer runtime.
    if driver // 1000 < needed // 1000:
        raise BackendError(
            f"the NVIDIA driver supports CUDA {version_text(driver)}, and cuda-bindings"
            f" {_bindings_version()} needs CUDA {needed // 1000}.0",
            f"update the NVIDIA driver, or pip install 'cuda-bindings<{driver // 1000 + 1}'",
        )
    return cuda


def version_text(number: int) -> str:
    """13050 → "13.5": how CUDA writes its versions."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _bindings_version() -> str:
    try:
        return metadata.version("cuda-bindings")
    except metadata.PackageNotFoundError:
        return ""
