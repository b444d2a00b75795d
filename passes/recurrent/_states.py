"""Which product of a cell is that of its state."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.passes.recurrent._gates import Array

Product = tuple[ir.Value, Array]


def recurrent_first(
    products: Sequence[Product], size: int, companion: ir.Value
) -> tuple[Product, Product] | None:
    """The product of the state and that of the input; None when there are not two such.

    One step is the same with the two exchanged where both have the size of the state. Then the state is
    what comes from where ``companion`` comes from (another state of the cell), and last the later one.
    """
    if len(products) != 2:
        return None
    fitting = [p for p in products if len(p[1]) == size]
    if not fitting:
        return None
    origin = _origin(companion)
    state = next((p for p in fitting if origin is not None and _origin(p[0]) is origin), None)
    if state is None:
        state = next((p for p in fitting if p[0] is companion), fitting[-1])
    other = next(p for p in products if p is not state)
    return state, other


def _origin(value: ir.Value) -> ir.Node | None:
    """The node a value comes from, but for axes that were added or removed."""
    node = value.producer()
    while (
        node is not None
        and node.op_type in ("Squeeze", "Unsqueeze", "Reshape")
        and node.inputs[0] is not None
    ):
        node = node.inputs[0].producer()
    return node
