"""DistinguishDims: dims whose name says nothing are not equal because it is the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import walk
from graphopt.ir.dims import is_made_up, is_unnamed
from graphopt.ir.signature import Dims, forget, signature_of
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass


@dataclass(frozen=True)
class DistinguishDims(Pass):
    """Take away names of dims that mean "unknown".

    TensorRT takes dims of one name for equal, and two that an exporter called ``?`` for one.

    Before: inputs of [?, 4] and [?, 3], where the name is written so.
    After:  inputs whose first dims have no name.
    Needs:  nothing.
    Keeps:  names that mean something, made-up ones included: each of those stands for one size.
    Skips:  nothing.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Look at every value, and at what the model declares."""
        changed = False
        signature = signature_of(model)
        if signature is not None and any(
            map(_says_nothing, (*signature.inputs.values(), *signature.outputs.values()))
        ):
            forget(model)
            changed = True
        for value in _values(model):
            shape = value.shape
            if shape is None or not any(_is_nothing(dim) for dim in shape):
                continue
            value.shape = ir.Shape([None if _is_nothing(dim) else dim for dim in shape])
            changed = True
        if changed:
            ctx.applied(self.name(), None, "dims without a name of their own have none")
        return changed


def _says_nothing(dims: Dims | None) -> bool:
    return dims is not None and any(isinstance(dim, str) and is_unnamed(dim) for dim in dims)


def _is_nothing(dim: int | ir.SymbolicDim) -> bool:
    """Whether a dim has a name that says no more than "unknown"; numbered ones are the compiler's own."""
    if isinstance(dim, int) or dim.value is None:
        return False
    return is_unnamed(dim.value) and not is_made_up(dim.value)


def _values(model: ir.Model) -> Iterator[ir.Value]:
    for graph in (model.graph, *model.graph.subgraphs()):
        yield from graph.inputs
    for node in walk.nodes(model):
        yield from node.outputs
