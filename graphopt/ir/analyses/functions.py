"""Bodies of model-local functions with the shapes of one call: what an analysis of the call looks at."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir.analyses.sizes import Dims, Sizes, constant, dtype_of

Signature = tuple[object, ...]


class FunctionBodies:
    """Inlines calls one at a time; calls of the same function with the same shapes share one body.

    Args:
        model: holds the functions.
    """

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._bodies: dict[Signature, ir.Model | None] = {}

    def body(self, node: ir.Node, sizes: Sizes) -> ir.Model | None:
        """The inlined, shape-inferred body as a model of its own; None if the node is no such call."""
        if node.op_identifier() not in self._model.functions:
            return None
        signature = (
            node.op_identifier(),
            tuple((dtype_of(v), sizes.dims(v), _content(v)) if v is not None else None for v in node.inputs),
            tuple(sorted((a.name, repr(a.value)) for a in node.attributes.values() if not _is_graph(a))),
        )
        if signature not in self._bodies:
            self._bodies[signature] = self._inline(node, sizes)
        return self._bodies[signature]

    def _inline(self, node: ir.Node, sizes: Sizes) -> ir.Model | None:
        from onnx_ir.passes.common import InlinePass

        from graphopt.ir.shapes import infer_shapes

        inputs = [None if v is None else _like(v, sizes.dims(v), i) for i, v in enumerate(node.inputs)]
        attributes = [a for a in node.attributes.values() if not _is_graph(a)]
        outputs = [ir.Value(name=f"output_{i}") for i in range(len(node.outputs))]
        call = ir.Node(
            node.domain,
            node.op_type,
            inputs,
            attributes,
            overload=node.overload,
            outputs=outputs,
            name="call",
        )
        given = [v for v in inputs if v is not None]
        graph = ir.Graph(
            [v for v in given if v.const_value is None],
            outputs,
            nodes=[call],
            initializers=[v for v in given if v.const_value is not None],
            opset_imports=dict(self._model.opset_imports),
            name="body",
        )
        functions = [f.clone() for f in self._model.functions.values()]
        body = ir.Model(graph, ir_version=self._model.ir_version, functions=functions)
        InlinePass()(body)
        infer_shapes(body)
        return body


def _is_graph(attr: ir.Attr) -> bool:
    return attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _content(value: ir.Value) -> int | None:
    """Tells small constants apart: a shape or an axis decides what the body does."""
    tensor = constant(value)
    return None if tensor is None or tensor.size > 64 else hash(tensor.tobytes())


def _like(value: ir.Value, dims: Dims | None, index: int) -> ir.Value:
    """A fresh value with the type, the shape and, if it is constant, the tensor of ``value``."""
    dtype = dtype_of(value)
    return ir.Value(
        name=f"input_{index}",
        type=None if dtype is None else ir.TensorType(dtype),
        shape=None if dims is None else ir.Shape(dims),
        const_value=constant(value),
    )
