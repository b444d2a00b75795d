"""Run a model in this process with ONNX Runtime: the oracle (optimisations off) and the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphopt.backends.executable import Array, TensorInfo
from graphopt.backends.feed_check import explain_feeds
from graphopt.backends.flatten import flatten
from graphopt.backends.onnxruntime.ir_version import ir_version_for_onnxruntime
from graphopt.backends.onnxruntime.opset import opset_for_onnxruntime
from graphopt.backends.onnxruntime.session import (
    explain_failure,
    import_onnxruntime,
    new_options,
    open_session,
    plan_memory,
    session_inputs,
    session_outputs,
)
from graphopt.backends.onnxruntime.settings import session_config
from graphopt.backends.onnxruntime.values import run_function
from graphopt.backends.serialize import serialize
from graphopt.ir.walk import num_nodes
from graphopt.targets.threads import available_threads

if TYPE_CHECKING:
    from graphopt.pipeline.pass_base import Pass


class OnnxRuntimeRunner:
    """A session whose weights are the model's own arrays."""

    def __init__(self, session: Any, weights: Sequence[Array]) -> None:
        """``weights`` are the arrays the session computes from: it does not own or copy them."""
        self._weights = weights
        self.inputs: tuple[TensorInfo, ...] = session_inputs(session)
        self.outputs: tuple[TensorInfo, ...] = session_outputs(session)
        self.input_names: list[str] = [info.name for info in self.inputs if not info.optional]
        self.output_names: list[str] = [info.name for info in self.outputs]
        self._run = run_function(session, self.inputs, self.outputs)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output. Thread-safe; raises FeedError or BackendError in one line."""
        # A missing feed of an optional operand would be computed without, not refused.
        if problem := explain_feeds(self.inputs, feeds):
            raise problem
        try:
            outputs = self._run(self.output_names, feeds, None)
        except MemoryError:
            raise
        except Exception as error:
            raise explain_failure(error, self.inputs, feeds) from error
        return dict(zip(self.output_names, outputs, strict=True))


def make_runner(
    model: ir.Model,
    *,
    optimise: bool = True,
    threads: int | None = None,
    overrides: Mapping[str, Array] | None = None,
    extra_outputs: Iterable[str] = (),
    in_order: bool = False,
) -> OnnxRuntimeRunner:
    """A runner for ``model``, which is left unchanged and whose weights are not copied.

    Args:
        model: any level; local functions are inlined before the runtime sees them.
        optimise: False switches every graph optimisation and weight prepacking off.
        threads: threads of one run, the caller included; None takes what this process may use.
        overrides: other arrays for named main-graph initializers, of the same dtype and shape.
        extra_outputs: further values of the main graph to return, after the model's own outputs.
        in_order: compute a node as soon as its operands are there, so that what reads a value last may
            free it: by itself the runtime goes back from the outputs, and leaves small ones to the end.

    Raises:
        BackendError: onnxruntime is missing or refuses the model (the message names the node), or
            ``overrides`` or ``extra_outputs`` names a value the main graph does not have.
    """
    options = new_options(
        threads=available_threads() if threads is None else threads,
        optimise=optimise,
        config=session_config(model) if optimise else None,
    )
    if in_order:
        options.execution_order = import_onnxruntime().ExecutionOrder.PRIORITY_BASED
    sink = _InMemory()
    flat = _runnable(flatten(model), model)
    plan_memory(options, num_nodes(flat))
    data = serialize(
        flat,
        sink,
        overrides=overrides,
        extra_outputs=extra_outputs,
        opset=opset_for_onnxruntime(flat),
        ir_version=ir_version_for_onnxruntime(flat),
    )
    sink.attach(options)
    return OnnxRuntimeRunner(open_session(data, options), sink.arrays)


def _runnable(flat: ir.Model, model: ir.Model) -> ir.Model:
    """``flat`` with what ONNX Runtime refuses, or rounds on the way, spelled otherwise; never ``model``.

    It has no kernel for GroupNormalization, and the standard's body of it takes the variance for the
    difference of two squares, which loses most digits where the mean is large.
    """
    from graphopt.pipeline.context import PassContext

    passes = _spelling_passes({node.op_type for node in flat.graph.all_nodes() if node.domain == ""})
    if not passes:
        return flat
    runnable = flat.clone() if flat is model else flat
    for pass_ in passes:
        pass_.run(runnable, PassContext())
    return runnable


def _spelling_passes(op_types: set[str]) -> list[Pass]:
    found: list[Pass] = []
    if "Attention" in op_types:
        from graphopt.backends.onnxruntime.legalize.expand_attention_mask import ExpandAttentionMask
        from graphopt.backends.onnxruntime.legalize.widen_half_attention import WidenHalfAttention

        found += [WidenHalfAttention(), ExpandAttentionMask()]
    if "GroupNormalization" in op_types:
        from graphopt.backends.onnxruntime.legalize.split_group_normalization import SplitGroupNormalization

        found.append(SplitGroupNormalization())
    return found


class _InMemory:
    """A weight sink that hands the arrays themselves to the session."""

    location = "weights"

    def __init__(self) -> None:
        self.names: list[str] = []
        self.arrays: list[Array] = []
        self._types: list[int] = []

    def place(self, name: str, tensor: ir.TensorProtocol) -> tuple[int, int] | None:
        """Remember the tensor's array; the offset means nothing to an injected initializer."""
        if tensor.dtype.bitwidth < 8:
            return None
        self.names.append(name)
        self.arrays.append(np.ascontiguousarray(tensor.numpy()))
        self._types.append(int(tensor.dtype))
        return 0, tensor.nbytes

    def attach(self, options: Any) -> None:
        """Give every array to the session that will be opened with ``options``."""
        if not self.names:
            return
        make = import_onnxruntime().OrtValue.ortvalue_from_numpy_with_onnx_type
        values = [make(array, kind) for array, kind in zip(self.arrays, self._types, strict=True)]
        options.add_external_initializers(self.names, values)
