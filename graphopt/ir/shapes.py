"""Shape inference: what two libraries and the file itself say about each value, merged so that it holds."""

from __future__ import annotations

import re
from collections.abc import Callable

import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.ir.freeze import INFERRED, all_values
from graphopt.ir.shape_sources import Dim, Fact, Facts, ask_onnx, ask_symbolic

_MADE_UP = re.compile(r"u\d+")
_NOTHING = Fact(None, None)


def infer_shapes(model: ir.Model) -> bool:
    """Give every value its type and shape as far as they can be told.

    ONNX's own inference and ``onnx-shape-inference`` are merged: where one knows more, it counts; where
    they contradict each other, neither does. What the file declares fills gaps (numbers everywhere,
    names only inside the graph: names on outputs are often wrong) but never overrides an operator.
    Inputs stay as declared. The symbolic library runs only when ONNX's leaves something open: it takes
    up to a second on a model of thousands of nodes.

    Args:
        model: its graphs sorted; changed in place.

    Returns:
        Whether any value's type or shape changed.
    """
    fresh = _namer(model)
    facts = ask_onnx(model, fresh)
    if _leaves_something_open(model, facts):
        facts = _merge(facts, ask_symbolic(model, fresh), fresh)
    changed = False
    inputs = set(model.graph.inputs)
    for value in all_values(model):
        if value not in inputs and not value.is_initializer():
            changed |= _apply(value, facts.get(value, _NOTHING))
        elif value.const_value is not None and value not in inputs:
            changed |= _apply_tensor(value, value.const_value)
    model.graph.meta[INFERRED] = True
    return changed


def _namer(model: ir.Model) -> Callable[[], str]:
    """Makes names of dims that occur nowhere in the model: u0, u1, …"""
    taken = {
        symbol
        for value in all_values(model)
        for dim in value.shape or ()
        if isinstance(dim, ir.SymbolicDim) and dim.value
        for symbol in re.findall(r"\w+", dim.value)
    }
    count = iter(range(1 << 62))

    def fresh() -> str:
        return next(name for i in count if (name := f"u{i}") not in taken)

    return fresh


def _leaves_something_open(model: ir.Model, facts: Facts) -> bool:
    for node in model.graph.all_nodes():
        for value in node.outputs:
            dims = facts.get(value, _NOTHING).dims
            if value.name and (dims is None or any(isinstance(d, str) and _MADE_UP.fullmatch(d) for d in dims)):
                return True
    return False


def _merge(first: Facts, second: Facts, fresh: Callable[[], str]) -> Facts:
    merged = dict(second)
    for value, fact in first.items():
        other = second.get(value)
        merged[value] = fact if other is None else _merge_facts(fact, other, fresh)
    return merged


def _merge_facts(a: Fact, b: Fact, fresh: Callable[[], str]) -> Fact:
    type_ = a.type if a.type == b.type or b.type is None else b.type if a.type is None else None
    if a.dims is None or b.dims is None:
        return Fact(type_, a.dims if b.dims is None else b.dims)
    if len(a.dims) != len(b.dims):
        return Fact(type_, None)
    return Fact(type_, tuple(_merge_dims(x, y, fresh) for x, y in zip(a.dims, b.dims, strict=True)))


def _merge_dims(a: Dim, b: Dim, fresh: Callable[[], str]) -> Dim:
    """The more specific of two: a number over a name, the inputs' names over made-up ones."""
    if a == b:
        return a
    if isinstance(a, int) and isinstance(b, int):
        return fresh()
    if isinstance(a, int):
        return a
    if isinstance(b, int) or _is_made_up(a):
        return b
    if _is_made_up(b):
        return a
    return fresh()  # two different claims about the inputs' names: neither


def _is_made_up(dim: Dim) -> bool:
    return isinstance(dim, str) and any(_MADE_UP.fullmatch(s) for s in re.findall(r"\w+", dim))


def _apply(value: ir.Value, fact: Fact) -> bool:
    changed = False
    if value.type is None and fact.type is not None:
        value.type = fact.type
        changed = True
    shape = _with_declared(fact.dims, value)
    if shape is not None and not _identical(shape, value.shape):
        value.shape = shape
        changed = True
    return changed


def _with_declared(dims: tuple[Dim, ...] | None, value: ir.Value) -> ir.Shape | None:
    """The inferred dims, gaps filled from the declared shape; None leaves the value's shape alone."""
    declared = value.shape
    if dims is None:
        return None
    if declared is None or len(declared) != len(dims):
        return ir.Shape(dims)
    denotations = [declared.get_denotation(i) for i in range(len(declared))]
    return ir.Shape([_fill(d, old, value) for d, old in zip(dims, declared, strict=True)], denotations)


def _fill(dim: Dim, declared: int | ir.SymbolicDim, value: ir.Value) -> int | ir.SymbolicDim:
    if isinstance(dim, int):
        return dim
    if isinstance(declared, int):
        return declared if declared >= 0 and _is_made_up(dim) else ir.SymbolicDim(dim)
    known = declared.value is not None and not _is_made_up(declared.value)
    return declared if known and _MADE_UP.fullmatch(dim) and not value.is_graph_output() else ir.SymbolicDim(dim)


def _identical(a: ir.Shape, b: ir.Shape | None) -> bool:
    """Same dims, made-up names apart: those differ from run to run."""
    if b is None or len(a) != len(b):
        return False
    return all(
        same_dim(x, y)
        or (isinstance(x, ir.SymbolicDim) and isinstance(y, ir.SymbolicDim) and _both_made_up(x, y))
        for x, y in zip(a, b, strict=True)
    )


def _both_made_up(a: ir.SymbolicDim, b: ir.SymbolicDim) -> bool:
    return a.value is not None and b.value is not None and _is_made_up(a.value) and _is_made_up(b.value)


def _apply_tensor(value: ir.Value, tensor: ir.TensorProtocol) -> bool:
    changed = False
    if value.dtype != tensor.dtype:
        value.type = ir.TensorType(tensor.dtype)
        changed = True
    if value.shape is None or value.shape != tensor.shape:
        value.shape = ir.Shape(tensor.shape)
        changed = True
    return changed
