"""A random network while it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto
from onnx.helper import make_node, make_tensor_value_info
from onnx.numpy_helper import from_array

from tests.backends.native.random_operators.draw import Array

_FLOAT = TensorProto.FLOAT


@dataclass(frozen=True)
class Value:
    """A float32 tensor of the network; its dims for the first set of feeds."""

    name: str
    dims: tuple[int, ...]


@dataclass
class Network:
    """A model while it is made.

    Attributes:
        rng: every choice comes from it.
        open_batch: the size of the batch is open.
        open_space: height and width are open, so nothing may depend on them.
    """

    rng: np.random.Generator
    open_batch: bool
    open_space: bool
    values: list[Value] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    declared: list[Any] = field(default_factory=list)

    def chance(self, p: float = 0.5) -> bool:
        return bool(self.rng.random() < p)

    def one_of(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def pick(self, fits: Callable[[Value], bool]) -> Value | None:
        """A value that fits, the newest more often."""
        fitting = [v for v in self.values if fits(v)]
        if not fitting:
            return None
        found: Value = fitting[-1] if self.chance(0.6) else self.one_of(fitting)
        return found

    def constant(self, array: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(from_array(np.asarray(array), name))
        return name

    def weight(self, *dims: int, scale: float = 1.0) -> str:
        """Numbers, constant or now and then an input."""
        array = np.asarray(self.rng.standard_normal(dims) * scale, np.float32)
        if self.chance(0.1):
            return self.input(dims, open_dims=()).name
        return self.constant(array)

    def input(self, dims: Sequence[int], open_dims: Sequence[int] | None = None) -> Value:
        value = Value(f"x{len(self.inputs)}", tuple(dims))
        if open_dims is None:
            open_dims = (0, 2, 3) if self.open_space else (0,) if self.open_batch else ()
        names = {0: "N", 2: "H", 3: "W"}
        shape = [names[i] if i in open_dims else n for i, n in enumerate(dims)]
        self.inputs.append(value)
        self.declared.append(make_tensor_value_info(value.name, _FLOAT, shape))
        return value

    def node(self, op: str, dims: Sequence[int], *inputs: Value | str, **attributes: Any) -> Value:
        value = Value(f"v{len(self.nodes)}", tuple(int(d) for d in dims))
        names = [i.name if isinstance(i, Value) else i for i in inputs]
        self.nodes.append(make_node(op, names, [value.name], name=f"n{len(self.nodes)}", **attributes))
        return value

    def ints(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, np.int64))
