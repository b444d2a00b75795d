"""Specialise a model: fix the shapes of its inputs, or make an input a constant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import walk
from graphopt.ir.dims import is_unnamed
from graphopt.ir.shape_spec import Dim, ShapeSpec
from graphopt.ir.signature import Dims, raw_dims, signature_of, specialise

INFERRED = "graphopt.shapes-inferred"
"""Key in the main graph's ``meta``: its shapes were derived from its operators, not just declared."""


def set_input_shapes(model: ir.Model, dims: Mapping[str, Sequence[Dim] | ShapeSpec]) -> bool:
    """Give inputs other dims; a name that becomes a number does so on every input that shares it.

    Shapes inference derived before follow by substitution. What the author merely declared elsewhere
    does not: declared output names are often wrong (a hidden size called ``sequence_length``). Run
    inference afterwards to find the rest.

    Args:
        model: changed in place.
        dims: for each input its new dims: a number, a name, or None to leave a dim as it is.

    Returns:
        Whether anything changed.

    Raises:
        UsageError: an unknown input, another rank, a number that contradicts the model's own, or two
            numbers for one name.
    """
    wanted = {n: tuple(d.dims if isinstance(d, ShapeSpec) else d) for n, d in dims.items()}
    inputs = {name: _input(model, name) for name in wanted}
    numbers: dict[str, int] = {}
    names: dict[str, str] = {}
    declared: dict[str, Dims | None] = {}
    raw_numbers: dict[str, int] = {}
    signature = signature_of(model)
    for name, new in wanted.items():
        value = inputs[name]
        if value.shape is None:
            value.shape = ir.Shape(new)
            declared[name] = new
            continue
        _check_dims(name, value.shape, new)
        raw = signature.inputs.get(name) if signature is not None else None
        for index, (old, want) in enumerate(zip(value.shape, new, strict=True)):
            if isinstance(old, int) or want is None or old.value is None:
                continue
            if isinstance(want, int):
                _bind(numbers, old.value, want, name)
                text = raw[index] if raw is not None else None
                if isinstance(text, str) and not is_unnamed(text):
                    raw_numbers[text] = want
            else:
                names[old.value] = want
    before = {name: value.shape for name, value in inputs.items()}
    values = all_values(model) if model.graph.meta.get(INFERRED) else iter(model.graph.inputs)
    changed = _substitute(values, numbers, names)
    for name, new in wanted.items():
        if before[name] is not None:
            old_raw = signature.inputs.get(name) if signature is not None else None
            declared[name] = _merge(new, old_raw if old_raw is not None else raw_dims(before[name]))
    specialise(model, declared, raw_numbers)
    return changed or any(value.shape is not before[name] for name, value in inputs.items())


def freeze_inputs(model: ir.Model, values: Mapping[str, npt.NDArray[np.generic]]) -> bool:
    """Make inputs constants: each leaves the model's inputs and becomes an initializer.

    Args:
        model: changed in place.
        values: the arrays, of the input's type and of a shape that fits its dims. Their sizes bind
            the names of dims, as ``set_input_shapes`` does.

    Raises:
        UsageError: an unknown input, or an array that does not fit it.
    """
    for name, array in values.items():
        value = _input(model, name)
        dtype = value.dtype
        if dtype is not None and dtype != ir.DataType.STRING and array.dtype != dtype.numpy():
            raise UsageError(
                f"input {name!r} is {dtype.name}, the value is {array.dtype}", "convert it first"
            )
    set_input_shapes(model, {name: array.shape for name, array in values.items()})
    for name, array in values.items():
        value = _input(model, name)
        dtype = value.dtype
        if dtype == ir.DataType.STRING:
            flat = [s if isinstance(s, bytes) else str(s).encode() for s in array.reshape(-1).tolist()]
            tensor: ir.TensorProtocol = ir.StringTensor(flat, shape=ir.Shape(array.shape), name=name)
        else:
            tensor = ir.Tensor(np.ascontiguousarray(array).reshape(array.shape), dtype, name=name)
        model.graph.inputs.remove(value)
        value.const_value = tensor
        value.type = ir.TensorType(tensor.dtype)
        value.shape = ir.Shape(array.shape)
        model.graph.register_initializer(value)
    specialise(model, {}, {})
    return bool(values)


def parse_constants(texts: Iterable[str], model: ir.Model) -> dict[str, npt.NDArray[np.generic]]:
    """Read ``name=value`` for inputs of ``model``.

    A value is a number, ``true``, a list like ``[[1,2],[3,4]]``, or ``@file.npy``. A single number
    fills the input's shape when all its dims are known.

    Raises:
        UsageError: an unknown input, a value that cannot be read or does not fit the input's type.
    """
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    names = sorted((v.name or "" for v in model.graph.inputs), key=len, reverse=True)
    for text in texts:
        name = next((n for n in names if text.startswith(f"{n}=")), None)
        if name is None:
            raise UsageError(
                f"{text!r} names no input", f"write NAME=VALUE; inputs: {', '.join(sorted(names))}"
            )
        arrays[name] = _constant(text[len(name) + 1 :], _input(model, name))
    return arrays


def _constant(text: str, value: ir.Value) -> npt.NDArray[np.generic]:
    dtype = value.dtype
    if dtype is None:
        raise UsageError(f"input {value.name!r} is no tensor", "only tensors can be made constant")
    try:
        if text.startswith("@"):
            array: npt.NDArray[np.generic] = np.load(Path(text[1:]), allow_pickle=False)
        else:
            parsed = text if dtype == ir.DataType.STRING else json.loads(text.strip().lower())
            array = np.array(parsed)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{text!r} is no value for input {value.name!r}: {error}", "give a number or list"
        ) from None
    if dtype == ir.DataType.STRING:
        array = array.astype(object)
    elif array.dtype.kind not in "biuf" or (array.dtype.kind == "f" and not dtype.is_floating_point()):
        raise UsageError(
            f"{text!r} is no {dtype.name}, the type of input {value.name!r}", "give a matching value"
        )
    else:
        array = array.astype(dtype.numpy())
    shape = value.shape
    if array.ndim == 0 and shape is not None and len(shape) and shape.is_static():
        array = np.full(shape.numpy(), array[()])
    elif array.ndim == 0 and shape is not None and len(shape):
        array = array.reshape([1] * len(shape))
    return array


def _input(model: ir.Model, name: str) -> ir.Value:
    for value in model.graph.inputs:
        if value.name == name:
            return value
    names = ", ".join(v.name or "" for v in model.graph.inputs)
    raise UsageError(f"the model has no input {name!r}", f"its inputs: {names or 'none'}")


def _check_dims(name: str, shape: ir.Shape, new: Sequence[Dim]) -> None:
    if len(shape) != len(new):
        raise UsageError(f"input {name!r} has rank {len(shape)}, not {len(new)}: {shape}", "give every dim")
    for index, (old, want) in enumerate(zip(shape, new, strict=True)):
        if isinstance(want, int) and want < 0:
            raise UsageError(f"dim {index} of input {name!r} cannot be {want}", "leave it dynamic with ?")
        if isinstance(old, int) and want is not None and want != old:
            raise UsageError(
                f"dim {index} of input {name!r} is {old} in the model, not {want}",
                "the model was exported for that size; export it again with a dynamic dim",
            )


def _bind(numbers: dict[str, int], symbol: str, size: int, name: str) -> None:
    if numbers.setdefault(symbol, size) != size:
        raise UsageError(
            f"dim {symbol!r} of input {name!r} cannot be both {numbers[symbol]} and {size}",
            "inputs that share a dim's name must agree on it",
        )


def _merge(new: Sequence[Dim], old: Dims | None) -> Dims:
    if old is None or len(old) != len(new):
        return tuple(new)
    return tuple(o if n is None else n for n, o in zip(new, old, strict=True))


def _substitute(values: Iterable[ir.Value], numbers: Mapping[str, int], names: Mapping[str, str]) -> bool:
    changed = False
    for value in values:
        shape = value.shape
        if shape is None or shape.is_static():
            continue
        dims = [_replaced(dim, numbers, names) for dim in shape]
        if any(a is not b for a, b in zip(dims, shape, strict=True)):
            value.shape = ir.Shape(dims, [shape.get_denotation(i) for i in range(len(shape))])
            changed = True
    return changed


def _replaced(
    dim: int | ir.SymbolicDim, numbers: Mapping[str, int], names: Mapping[str, str]
) -> int | ir.SymbolicDim:
    if isinstance(dim, int) or dim.value is None:
        return dim
    if dim.value in names:
        return ir.SymbolicDim(names[dim.value])
    if dim.value in numbers:
        return numbers[dim.value]
    if not dim.value.isidentifier() and dim.free_symbols() & numbers.keys():
        size = dim.evaluate(numbers)
        return size if isinstance(size, ir.SymbolicDim) or size >= 0 else dim
    return dim


def all_values(model: ir.Model) -> Iterator[ir.Value]:
    """Every value of every graph once: inputs, initializers and what nodes make."""
    for graph in walk.graphs(model):
        seen: dict[ir.Value, None] = dict.fromkeys(graph.inputs)
        if isinstance(graph, ir.Graph):
            seen.update(dict.fromkeys(graph.initializers.values()))
        for node in graph:
            seen.update(dict.fromkeys(node.outputs))
        yield from seen
