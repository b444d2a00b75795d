"""Products that can stand side by side: the same left operand, constant weights with as many rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from graphopt.ops.op import DOMAIN
from graphopt.passes.fuse._columns import is_per_column
from graphopt.rewrite.attributes import plain
from graphopt.rewrite.constants import constant_tensor

_KINDS: Mapping[tuple[str, str], tuple[int, tuple[int, ...]]] = {
    ("", "MatMul"): (1, ()),
    ("", "Gemm"): (1, (2,)),
    ("", "MatMulInteger"): (1, (3,)),
    (DOMAIN, "MatMulIntegerToFloat"): (1, (3, 5)),
    (DOMAIN, "BiasMatMulIntegerToFloat"): (1, (3, 5, 6)),
    ("graphopt", "MatMulIntegerToFloat"): (1, (3, 5)),
    ("graphopt", "BiasMatMulIntegerToFloat"): (1, (3, 5, 6)),
}
"""By operator: which input is the weight, and which have one number per column of it."""


_MATRIX = 2

_WIDEST = 16
"""How many times as wide as the value they share products of a sequence may be together: what each layer
computed when it needed it (the keys and values of an encoder) is then in memory at once."""


@dataclass(frozen=True, eq=False)
class Product:
    """One product with a constant weight of its own.

    Attributes:
        node: the product.
        weight: the constant on its right.
        axis: the axis of the weight along which its columns lie.
        columns: how many there are.
        per_column: positions of the inputs with one number per column, those that are there.
    """

    node: ir.Node
    weight: ir.Value
    axis: int
    columns: int
    per_column: tuple[int, ...] = field(default=())

    @property
    def result(self) -> ir.Value:
        """What it computes."""
        return self.node.outputs[0]

    def key(self) -> Hashable:
        """Equal for products that can stand side by side."""
        dims = _dims(self.weight)
        shared = tuple(
            None if value is None else id(value)
            for index, value in enumerate(self.node.inputs)
            if value is not self.weight and index not in self.per_column
        )
        attributes = tuple(sorted((name, plain(attr)) for name, attr in self.node.attributes.items()))
        types = tuple(_dtype(self.node.inputs[index]) for index in self.per_column)
        operator = (self.node.domain, self.node.op_type, self.axis, dims[1 - self.axis])
        return (*operator, self.weight.dtype, shared, self.per_column, types, str(attributes))


def product(node: ir.Node) -> Product | None:
    """``node`` as a product whose weight is a constant nothing else reads, or None."""
    kind = _KINDS.get((node.domain, node.op_type))
    if kind is None or any(attribute.is_ref() for attribute in node.attributes.values()):
        return None
    position, per_column = kind
    weight = node.inputs[position]
    tensor = constant_tensor(weight)
    if weight is None or tensor is None or len(tensor.shape) != 2 or not weight.is_initializer():
        return None
    if len(weight.uses()) != 1 or weight.is_graph_output():
        return None
    axis = 1 - node.attributes.get_int("transB", 0)
    columns = int(tuple(tensor.shape.numpy())[axis])
    given = tuple(i for i in per_column if i < len(node.inputs) and node.inputs[i] is not None)
    if not all(is_per_column(node.inputs[i], columns, 2 if node.op_type == "Gemm" else 1) for i in given):
        return None
    return Product(node, weight, axis, columns, given)


def families(nodes: Sequence[ir.Node]) -> list[list[Product]]:
    """The products among ``nodes`` that can stand side by side, in the order of ``nodes``."""
    found: dict[Hashable, list[Product]] = {}
    for node in nodes:
        member = product(node)
        if member is not None:
            found.setdefault(member.key(), []).append(member)
    return [run for members in found.values() for run in _runs(members) if len(run) > 1]


def _runs(members: Sequence[Product]) -> Iterator[list[Product]]:
    """``members`` in order, as many at a time as may be in memory together."""
    left = members[0].node.inputs[0]
    is_matrix = left is not None and left.shape is not None and len(left.shape) == _MATRIX
    rows = int(_dims(members[0].weight)[1 - members[0].axis])
    run: list[Product] = []
    for member in members:
        wide = sum(other.columns for other in run) + member.columns
        if run and not is_matrix and wide > _WIDEST * rows:
            yield run
            run = []
        run.append(member)
    yield run


def _dims(weight: ir.Value) -> tuple[int, ...]:
    tensor = constant_tensor(weight)
    assert tensor is not None, "a product's weight is a constant"
    return tuple(tensor.shape.numpy())


def _dtype(value: ir.Value | None) -> ir.DataType | None:
    return None if value is None else value.dtype
