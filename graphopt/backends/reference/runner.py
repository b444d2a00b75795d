"""Run a model with onnx.reference: the oracle of operator specifications."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.flatten import flatten
from graphopt.backends.reference.session import ReferenceExecutable
from graphopt.backends.serialize import serialize
from graphopt.backends.signature import model_inputs, model_outputs


def make_runner(model: ir.Model) -> ReferenceExecutable:
    """A runner for ``model``, which is left unchanged. It is slow: numpy, one operator at a time.

    Args:
        model: any level; at the canonical opset most operators have a reference, old ones may not.

    Raises:
        BackendError: an operator has no reference implementation, or the model is beyond 2 GB.
    """
    data = serialize(flatten(model, inline=False))
    return ReferenceExecutable(data, model_inputs(model), model_outputs(model))
