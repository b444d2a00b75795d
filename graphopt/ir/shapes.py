"""Shape inference: what two libraries and the file itself say about each value, merged so that it holds."""

from __future__ import annotations

import re

import onnx_ir as ir

from graphopt.ir.dims import is_made_up
from graphopt.ir.freeze import INFERRED, all_values
from graphopt.ir.shape_sources import Dim, Fact, Facts, Names, ask_onnx, ask_symbolic

_NOTHING = Fact(None, None)


def infer_shapes(model: ir.Model) -> bool:
    """Give every value its type and shape as far as they can be told.

    ONNX's own inference and ``onnx-shape-inference`` are merged: where one knows more, it counts; where
    they contradict each other, neither does. What the file declares fills gaps (numbers everywhere,
    names only inside the graph: names on outputs are often wrong) but never overrides an operator.
    Inputs stay as declared. The symbolic library runs only when ONNX's leaves something open: it takes
    the longer, up to half a second on a model of two thousand nodes.

    Args:
        model: its graphs sorted; changed in place.

    Returns:
        Whether any value's type or shape changed. A dim nobody knows is named anew in each run
        (``unk_7``); that alone is no change.
    """
    names = Names(model)
    facts = ask_onnx(model, names)
    if _leaves_something_open(model, facts, names):
        facts = _merge(facts, ask_symbolic(model, names), names)
    changed = False
    inputs = set(model.graph.inputs)
    for value in all_values(model):
        if value in inputs:
            continue
        if value.const_value is not None and value.is_initializer():
            changed |= _apply_tensor(value, value.const_value)
        else:
            changed |= _apply(value, facts.get(value, _NOTHING), names)
    model.graph.meta[INFERRED] = True
    return changed


def _leaves_something_open(model: ir.Model, facts: Facts, names: Names) -> bool:
    for node in model.graph.all_nodes():
        for value in node.outputs:
            fact = facts.get(value, _NOTHING)
            dims = fact.dims
            if value.name and (
                fact.type is None or dims is None or any(d == 0 or names.made_up(d) for d in dims)
            ):
                return True
    return False


def _merge(first: Facts, second: Facts, names: Names) -> Facts:
    meaning = _meanings(first, second, names)
    first, second = _translated(first, meaning), _translated(second, meaning)
    merged = dict(second)
    for value, fact in first.items():
        other = second.get(value)
        merged[value] = fact if other is None else _merge_facts(fact, other, names)
    return merged


def _meanings(first: Facts, second: Facts, names: Names) -> dict[str, Dim]:
    """What the other source calls a made-up name: where one says ``unk_3`` and the other ``seq``.

    A source uses one made-up name for one size, so what it is in one place it is everywhere.
    """
    found: dict[str, Dim] = {}
    doubtful: set[str] = set()
    for value, fact in first.items():
        other = second.get(value)
        if other is None or fact.dims is None or other.dims is None or len(fact.dims) != len(other.dims):
            continue
        for x, y in zip(fact.dims, other.dims, strict=True):
            for name, meaning in ((x, y), (y, x)):
                if not isinstance(name, str) or name not in names.generated or names.made_up(meaning):
                    continue
                if found.setdefault(name, meaning) != meaning:
                    doubtful.add(name)
    return {name: meaning for name, meaning in found.items() if name not in doubtful and meaning != 0}


def _translated(facts: Facts, meaning: dict[str, Dim]) -> Facts:
    if not meaning:
        return facts
    return {
        value: fact
        if fact.dims is None
        else Fact(fact.type, tuple(_translate(dim, meaning) for dim in fact.dims))
        for value, fact in facts.items()
    }


def _translate(dim: Dim, meaning: dict[str, Dim]) -> Dim:
    return meaning.get(dim, dim) if isinstance(dim, str) else dim


def _merge_facts(a: Fact, b: Fact, names: Names) -> Fact:
    type_ = a.type if a.type == b.type or b.type is None else b.type if a.type is None else None
    if a.dims is None or b.dims is None:
        return Fact(type_, a.dims if b.dims is None else b.dims)
    if len(a.dims) != len(b.dims):
        return Fact(type_, None)
    return Fact(type_, tuple(_merge_dims(x, y, names) for x, y in zip(a.dims, b.dims, strict=True)))


def _merge_dims(a: Dim, b: Dim, names: Names) -> Dim:
    """The more specific of two: a number over a name, the inputs' names over made-up ones.

    ``a`` comes from ONNX, which writes 0 for what it could not divide (Attention's head size).
    """
    if a == b or a == 0:
        return b
    if isinstance(a, int) and isinstance(b, int):
        return names.fresh()
    if isinstance(a, int):
        return a
    if isinstance(b, int) or names.made_up(a):
        return b
    if names.made_up(b):
        return a
    return names.fresh()  # two different claims about the inputs' names: neither


def _apply(value: ir.Value, fact: Fact, names: Names) -> bool:
    changed = False
    if value.type is None and fact.type is not None:
        value.type = fact.type
        changed = True
    if fact.dims is None:
        return changed
    shape = _with_declared(fact.dims, value, names)
    same = _identical(shape, value.shape, names)
    # Even when nothing new came out: the old made-up names relate to no longer existing ones.
    value.shape = shape
    return changed or not same


def _with_declared(dims: tuple[Dim, ...], value: ir.Value, names: Names) -> ir.Shape:
    """The inferred dims, gaps filled from the declared shape."""
    declared = value.shape
    if declared is None or len(declared) != len(dims):
        return ir.Shape(dims)
    denotations = [declared.get_denotation(i) for i in range(len(declared))]
    filled = [_fill(d, old, value, names) for d, old in zip(dims, declared, strict=True)]
    return ir.Shape(filled, denotations)


def _fill(dim: Dim, declared: int | ir.SymbolicDim, value: ir.Value, names: Names) -> int | ir.SymbolicDim:
    if isinstance(dim, int):
        return dim
    if names.made_up(dim) and isinstance(declared, int) and declared >= 0:
        return declared
    if (
        dim in names.generated
        and isinstance(declared, ir.SymbolicDim)
        and declared.value is not None
        and not _unknown(declared.value)
        and not value.is_graph_output()
    ):
        return declared
    return ir.SymbolicDim(dim)


def _identical(new: ir.Shape, old: ir.Shape | None, names: Names) -> bool:
    """Same dims, made-up names apart: those differ from run to run."""
    if old is None or len(new) != len(old):
        return False
    for x, y in zip(new, old, strict=True):
        if x == y:
            continue
        if isinstance(x, int) or isinstance(y, int) or x.value is None or y.value is None:
            return False
        if not (names.made_up(x.value) and _unknown(y.value)):
            return False
    return True


def _unknown(name: str) -> bool:
    """Whether a dim's name or one in its expression was made up by some run."""
    return any(is_made_up(symbol) for symbol in re.findall(r"[A-Za-z_]\w*", name))


def _apply_tensor(value: ir.Value, tensor: ir.TensorProtocol) -> bool:
    changed = False
    if value.dtype != tensor.dtype:
        value.type = ir.TensorType(tensor.dtype)
        changed = True
    if value.shape is None or value.shape != tensor.shape:
        value.shape = ir.Shape(tensor.shape.numpy())
        changed = True
    return changed
