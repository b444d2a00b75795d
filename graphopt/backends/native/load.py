"""Open and run a native region of an artifact. Imports no compiler room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphopt.backends.executable import Array, Executable, RegionBlob, TensorInfo
from graphopt.backends.feed_check import explain_feeds
from graphopt.backends.native.module import import_kernels
from graphopt.errors import ArtifactError, BackendError, UsageError

_RECOMPILE = "compile the model again on this machine"


def load(blob: RegionBlob) -> Executable:
    """Open a plan. Its weights stay mapped until they are packed.

    Raises:
        BackendError: the native core is missing, or this machine lacks the plan's instruction set.
        ArtifactError: the plan is damaged.
        UsageError: there is no instruction set of the name asked for, or not on this machine.
    """
    kernels = import_kernels()
    if blob.isa and blob.isa not in (*kernels.supported_isas(), "best"):
        known = "this machine lacks" if blob.isa in kernels.known_isas() else "there is no"
        names = ", ".join(kernels.supported_isas())
        raise UsageError(f"{known} instruction set '{blob.isa}'", f"this machine has {names}")
    try:
        plan = kernels.Plan(blob.data, blob.weights, isa=blob.isa or "best", threads=blob.threads)
    except ValueError as error:
        raise ArtifactError(f"a native region does not open: {error}", _RECOMPILE) from error
    except RuntimeError as error:
        raise BackendError(f"a native region does not open here: {error}", _RECOMPILE) from error
    return NativeExecutable(plan, alone=blob.alone)


class NativeExecutable:
    """An open plan. ``run`` is thread-safe and releases the GIL while it computes.

    Attributes:
        inputs: what it takes.
        outputs: what it gives.
    """

    def __init__(self, plan: Any, *, alone: bool = True) -> None:
        """``plan`` is a ``_kernels.Plan``; unless it is ``alone``, its threads sleep between runs."""
        self._plan = plan
        self._run = plan.run if alone else self._run_and_park
        self.inputs = tuple(_info(port) for port in plan.inputs)
        self.outputs = tuple(_info(port) for port in plan.outputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output.

        Raises:
            FeedError: something is missing, unknown or does not fit; the message says what is expected.
            BackendError: the computation failed; the message names the step.
        """
        try:
            found: dict[str, Array] = self._run(feeds if type(feeds) is dict else dict(feeds))
        except MemoryError:
            raise
        except Exception as error:
            raise self._explain(error, feeds) from error
        return found

    def _run_and_park(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Threads that spin for the next run would take the cores from another engine's region."""
        found: dict[str, Array] = self._plan.run(feeds)
        self._plan.park()
        return found

    def profile(self, feeds: Mapping[str, Array]) -> tuple[dict[str, Array], list[tuple[str, str, float]]]:
        """The outputs, and for each step its node's name, its operator and the seconds it took.

        Raises as ``run`` does.
        """
        try:
            outputs, steps = self._plan.profile(dict(feeds))
        except MemoryError:
            raise
        except Exception as error:
            raise self._explain(error, feeds) from error
        return outputs, [(str(name), str(op), float(seconds)) for name, op, seconds in steps]

    def _explain(self, error: Exception, feeds: Mapping[str, Array]) -> Exception:
        return explain_feeds(self.inputs, feeds) or BackendError(f"native: {error}")


def _info(port: Any) -> TensorInfo:
    name, dtype, dims = port
    return TensorInfo(name, dtype, dims)
