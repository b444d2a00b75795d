"""Which backend runs models at compile time: the oracle of equality and the folder of constants."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.pipeline.protocols import Runner, RunnerFactory


def oracle_runner(model: ir.Model) -> Runner:
    """ONNX Runtime with every optimisation off, on as many threads as this process may use.

    Raises:
        BackendError: ONNX Runtime is not installed, or refuses the model.
    """
    from graphopt.backends.onnxruntime.runner import make_runner

    return make_runner(model, optimise=False)


def evaluator() -> RunnerFactory | None:
    """What folds constants: the oracle's own kernels, so that folded bits are the oracle's bits.

    None without ONNX Runtime; passes then use the reference implementation.
    """
    from graphopt.backends.base import Available
    from graphopt.backends.onnxruntime.backend import OnnxRuntimeBackend

    if not isinstance(OnnxRuntimeBackend().availability(), Available):
        return None
    return _single_threaded


def _single_threaded(model: ir.Model) -> Runner:
    """Constants are small: starting a second thread costs more than it saves."""
    from graphopt.backends.onnxruntime.runner import make_runner

    return make_runner(model, optimise=False, threads=1)


def gauging_runner(model: ir.Model) -> Runner:
    """The oracle's runner for models with many small outputs: no value waits for the end to be measured.

    Raises:
        BackendError: ONNX Runtime is not installed, or refuses the model.
    """
    from graphopt.backends.onnxruntime.runner import make_runner

    return make_runner(model, optimise=False, in_order=True)


def emulating_runner(model: ir.Model) -> Runner:
    """The oracle's runner for models in float16 or bfloat16: each result is rounded, overflows show.

    Raises:
        BackendError: ONNX Runtime is not installed, or refuses the model.
    """
    from graphopt.backends.onnxruntime.emulate import make_emulating_runner

    return make_emulating_runner(model)
