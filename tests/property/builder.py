"""Builds one random model: values with known shapes, and the operators every piece is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

Dim = int | str
Shape = tuple[Dim, ...]
Array = np.ndarray[Any, np.dtype[Any]]
_T = TypeVar("_T")

INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)


@dataclass(frozen=True)
class Value:
    """A result, an input or a constant of the model.

    Attributes:
        name: in the model.
        dtype: of its elements.
        shape: sizes and names of dims.
        data: what it holds, for constants.
        exact: computed without rounding, so that comparing it does not flip.
    """

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    data: Array | None = None
    exact: bool = False

    @property
    def rank(self) -> int:
        """The number of dims."""
        return len(self.shape)


@dataclass
class Builder:
    """Adds inputs, constants and nodes to a model.

    Attributes:
        rng: every choice comes from it.
        real: the floating-point type of the model.
        opset: of the standard operators.
        sizes: name of a dim → its size in the first and in the second set of feeds.
        values: what later pieces may read.
    """

    rng: np.random.Generator
    real: np.dtype[Any]
    opset: int
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    _count: int = 0

    # -- choices -----------------------------------------------------------------------------------

    def chance(self, share: float = 0.5) -> bool:
        """True in ``share`` of the cases."""
        return bool(self.rng.random() < share)

    def one_of(self, options: Sequence[_T]) -> _T:
        """One of several things."""
        return options[int(self.rng.integers(len(options)))]

    def number(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both possible."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, fits: Callable[[Value], bool]) -> Value | None:
        """A value that fits, the newest ones likelier; None when there is none."""
        fitting = [v for v in self.values if fits(v)]
        if not fitting:
            return None
        return fitting[-1] if self.chance(0.6) else self.one_of(fitting)

    def pick_float(self, rank: int | None = None) -> Value | None:
        """A floating-point value of the model's type, of a rank or of any from 1 on."""
        return self.pick(
            lambda v: v.dtype == self.real and (v.rank == rank if rank is not None else v.rank >= 1)
        )

    # -- parts -------------------------------------------------------------------------------------

    def name(self, stem: str) -> str:
        """A new name."""
        self._count += 1
        return f"{stem}{self._count}"

    def dim(self, first: int, second: int) -> str:
        """A dim whose size is open, with its sizes in the two sets of feeds."""
        name = f"D{len(self.sizes)}"
        self.sizes[name] = (first, second)
        return name

    def size(self, dims: Sequence[Dim]) -> int:
        """The number of elements in the first set of feeds."""
        return int(np.prod([self.sizes[d][0] if isinstance(d, str) else d for d in dims], dtype=np.int64))

    def product(self, dims: Sequence[Dim]) -> Dim:
        """The dim that several dims make when they are flattened into one."""
        if all(isinstance(d, int) for d in dims):
            return self.size(dims)
        sizes = [self.sizes[d] if isinstance(d, str) else (d, d) for d in dims]
        return self.dim(int(np.prod([a for a, _ in sizes])), int(np.prod([b for _, b in sizes])))

    def sum(self, dims: Sequence[Dim]) -> Dim:
        """The dim of a concatenation."""
        if all(isinstance(d, int) for d in dims):
            return sum(int(d) for d in dims)
        sizes = [self.sizes[d] if isinstance(d, str) else (d, d) for d in dims]
        return self.dim(sum(a for a, _ in sizes), sum(b for _, b in sizes))

    def input(self, shape: Shape, dtype: np.dtype[Any] | None = None) -> Value:
        """A new input of the model."""
        value = Value(self.name("x"), dtype or self.real, shape, exact=True)
        self.inputs.append(value)
        self.values.append(value)
        return value

    def constant(self, array: object, dtype: Any = None) -> Value:
        """An initializer or, now and then, a Constant node."""
        data = np.asarray(array, dtype if dtype is not None else self.real)
        name = self.name("c")
        if self.chance(0.8):
            self.constants[name] = data
        else:
            self.node("Constant", [], 1, [name], value=onnx.numpy_helper.from_array(data, name))
        return Value(name, data.dtype, data.shape, data, exact=True)

    def ints(self, *values: int) -> Value:
        """A vector of int64."""
        return self.constant(values, np.int64)

    def scalar(self, value: float) -> Value:
        """A constant of the model's type with one element, of rank 0 or 1."""
        return self.constant(value if self.chance(0.7) else [value])

    def weight(self, *shape: int, scale: float | None = None) -> Value:
        """A random weight; matrices and kernels keep the size of what they are applied to."""
        spread = scale if scale is not None else 1 / np.sqrt(max(int(np.prod(shape[1:])), 1))
        return self.constant(self.rng.standard_normal(shape) * spread)

    def positive(self, *shape: int) -> Value:
        """A weight between a half and one and a half: variances and scales."""
        return self.constant(self.rng.uniform(0.5, 1.5, shape))

    def node(
        self,
        op_type: str,
        inputs: Sequence[Value | None],
        count: int = 1,
        outputs: Sequence[str] = (),
        **attributes: Any,
    ) -> list[str]:
        """Add a node; the names of its outputs."""
        names = list(outputs) or [self.name("v") for _ in range(count)]
        given = ["" if value is None else value.name for value in inputs]
        self.nodes.append(onnx.helper.make_node(op_type, given, names, self.name("n"), **attributes))
        return names

    def op(
        self,
        op_type: str,
        *inputs: Value | None,
        shape: Shape | None = None,
        dtype: np.dtype[Any] | None = None,
        **attributes: Any,
    ) -> Value:
        """Add a node with one output; shape and dtype are the first input's unless given.

        Operands of Add and Mul come in either order.
        """
        first = next((v for v in inputs if v is not None), None)
        order = inputs[::-1] if op_type in ("Add", "Mul") and self.chance(0.3) else inputs
        (name,) = self.node(op_type, order, **attributes)
        if shape is None:
            assert first is not None
            shape = first.shape
        if dtype is None:
            assert first is not None
            dtype = first.dtype
        return Value(name, dtype, shape)

    def keep(self, value: Value) -> Value:
        """Offer a value to later pieces."""
        self.values.append(value)
        return value

    def binary(self, op_type: str, a: Value, b: Value) -> Value:
        """An elementwise operator of two values that broadcast."""
        return self.op(op_type, a, b, shape=broadcast(a.shape, b.shape), dtype=a.dtype)

    def reduce(self, op_type: str, x: Value, axes: Sequence[int], keepdims: bool = True) -> Value:
        """A reduction, its axes written as the opset asks for."""
        positive = {axis % x.rank for axis in axes}
        shape = tuple(
            1 if i in positive else d for i, d in enumerate(x.shape) if keepdims or i not in positive
        )
        if self.opset < 18 and op_type != "ReduceSum":
            return self.op(op_type, x, shape=shape, axes=list(axes), keepdims=int(keepdims))
        return self.op(op_type, x, self.ints(*axes), shape=shape, keepdims=int(keepdims))

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """A Transpose."""
        return self.op("Transpose", x, shape=tuple(x.shape[p] for p in perm), perm=list(perm))

    def reshape(self, x: Value, shape: Sequence[Dim]) -> Value:
        """A Reshape whose target is written with 0 and -1, in full, or computed from the shape of ``x``."""
        return self.op("Reshape", x, self._target(x, tuple(shape)), shape=tuple(shape))

    def _target(self, x: Value, shape: Shape) -> Value:
        opened = [i for i, d in enumerate(shape) if isinstance(d, str)]
        zeros = [i for i in opened if i < x.rank and x.shape[i] == shape[i]]
        if not opened and self.chance(0.5):
            return self.ints(*[int(d) for d in shape])
        if len(opened) - len(zeros) <= 1 and self.chance(0.6):
            rest = [i for i in opened if i not in zeros]
            inferred = rest[0] if rest else self.number(0, len(shape) - 1) if shape else -1
            return self.ints(
                *[-1 if i == inferred else 0 if i in zeros else int(d) for i, d in enumerate(shape)]
            )
        return self._computed_target(x, shape)

    def _computed_target(self, x: Value, shape: Shape) -> Value:
        """The target from Shape, Gather and Concat; what stands nowhere in ``x`` is -1."""
        (whole,) = self.node("Shape", [x])
        source = Value(whole, INT64, (x.rank,))
        parts, inferred = [], False
        for dim in shape:
            if isinstance(dim, str) and dim in x.shape:
                index = x.shape.index(dim)
                part = self.op("Gather", source, self.constant(index, np.int64), shape=(), axis=0)
                parts.append(self.op("Unsqueeze", part, self.ints(0), shape=(1,)))
            elif isinstance(dim, str):
                assert not inferred, f"two dims of {shape} stand nowhere in {x.shape}"
                inferred = True
                parts.append(self.ints(-1))
            else:
                parts.append(self.ints(dim))
        return self.op("Concat", *parts, shape=(len(shape),), axis=0) if parts else self.ints()

    def can_reshape(self, x: Value, shape: Sequence[Dim]) -> bool:
        """Whether at most one open dim of the target stands nowhere in ``x``."""
        return sum(isinstance(d, str) and d not in x.shape for d in shape) <= 1

    # -- the model ---------------------------------------------------------------------------------

    def model(self) -> onnx.ModelProto:
        """What was built, with up to four results; some of what was computed is read by nobody."""
        graph = onnx.helper.make_graph(
            self.nodes,
            "random",
            [self._info(v, v.shape) for v in self.inputs],
            [self._info(v, self._result_shape(v)) for v in self._results()],
            [onnx.numpy_helper.from_array(data, name) for name, data in self.constants.items()],
        )
        opsets = [onnx.helper.make_opsetid("", self.opset)]
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def _results(self) -> list[Value]:
        read = {name for node in self.nodes for name in node.input}
        computed = [v for v in self.values if v not in self.inputs and v.name not in self.constants]
        leaves = [v for v in computed if v.name not in read]
        chosen = leaves[-3:]
        inner = [v for v in computed if v not in chosen]
        if inner and (not chosen or self.chance(0.25)):
            chosen.append(self.one_of(inner))
        return chosen

    def _result_shape(self, value: Value) -> Shape:
        """Exporters name the dims of results or leave them; sizes they know."""
        return tuple(d if isinstance(d, int) else f"{value.name}_{i}" for i, d in enumerate(value.shape))

    def _info(self, value: Value, shape: Shape) -> onnx.ValueInfoProto:
        element = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        return onnx.helper.make_tensor_value_info(value.name, element, list(shape))

    def feeds(self) -> Iterator[dict[str, Array]]:
        """Two sets of values under the first sizes, and one under the second."""
        for which in (0, 0, 1):
            yield {value.name: self._values(value, which) for value in self.inputs}

    def _values(self, value: Value, which: int) -> Array:
        shape = [self.sizes[d][which] if isinstance(d, str) else d for d in value.shape]
        if value.dtype == BOOL:
            return np.asarray(self.rng.integers(0, 2, shape), np.bool_)
        if value.dtype.kind in "iu":
            return np.asarray(self.rng.integers(0, 4, shape), value.dtype)
        return np.asarray(self.rng.standard_normal(shape), value.dtype)


def broadcast(a: Shape, b: Shape) -> Shape:
    """The shape of an elementwise result."""
    rank = max(len(a), len(b))
    left, right = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    return tuple(y if x == 1 else x for x, y in zip(left, right, strict=True))
