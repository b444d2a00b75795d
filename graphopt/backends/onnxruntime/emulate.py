"""Run a model in float16 or bfloat16 as a GPU would: every result rounded, every overflow infinite.

ONNX Runtime's CPU has few kernels in these types: it computes most nodes in float32 and leaves out the
roundings between them, which hides what they do, overflows above all. Here each value of such a type
is a float32 value that has been through the type and back.
"""

from __future__ import annotations

import copy

import numpy as np
import onnx_ir as ir

from graphopt.backends.flatten import flatten
from graphopt.backends.onnxruntime.emulate_recurrence import unrolled
from graphopt.backends.onnxruntime.runner import OnnxRuntimeRunner, make_runner
from graphopt.ir.shapes import infer_shapes
from graphopt.ir.walk import all_nodes
from graphopt.rewrite.names import Names

LOW = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})

_EXACT_WORDS = """
    Abs Compress Concat ConstantOfShape Constant DepthToSpace Expand Flatten Gather GatherElements GatherND
    Identity Max MaxPool Min Neg OneHot Relu Reshape Reverse ReverseSequence ScatterElements ScatterND Slice
    SpaceToDepth Split Squeeze Tile TopK Transpose Trilu Unsqueeze Where
"""
_EXACT = frozenset(_EXACT_WORDS.split())
"""Operators whose results are among their operands: nothing to round."""

_DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "precision", "softmax_precision", "stash_type")


def make_emulating_runner(model: ir.Model, *, threads: int | None = None) -> OnnxRuntimeRunner:
    """A runner for ``model`` that rounds each float16 and bfloat16 value; ``model`` is left unchanged.

    Sums inside one operator (of a product, a normalisation, a softmax) are taken in float32, as GPUs do.
    Without a value of either type it is the plain runner with every optimisation off.

    Args:
        model: any level.
        threads: of one run; None takes what this process may use.

    Raises:
        BackendError: onnxruntime is missing or refuses the model.
    """
    return make_runner(emulated(model), optimise=False, threads=threads)


def emulated(model: ir.Model) -> ir.Model:
    """A copy of ``model`` in float32 that rounds where it computed in a lower precision.

    Returns:
        A changed clone without local functions, with the inputs and outputs of ``model``; weights other
        than those widened are shared. ``model`` itself when it has no value to round.
    """
    flat = flatten(model)
    flat = flat.clone() if flat is model else flat
    if any(value.type is None for node in all_nodes(flat.graph) for value in node.outputs if value.name):
        infer_shapes(flat)
    return flat if _Widening(flat).run() else model


class _Widening:
    """One rewriting of one model in place."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._names = Names.of(model.graph)
        self._changed = False

    def run(self) -> bool:
        """Widen every graph; whether there was anything to widen."""
        graphs = [self._graph, *self._graph.subgraphs()]
        nodes = list(all_nodes(self._graph))
        outputs = [(i, v, v.dtype) for i, v in enumerate(self._graph.outputs) if v.dtype in LOW]
        for graph in graphs:
            self._widen_constants(graph)
        for graph in graphs[1:]:
            for value in graph.inputs:
                self._widen(value)
        for node in nodes:
            self._widen_node(node)
        for index, value, dtype in outputs:
            self._restore_output(index, value, dtype or ir.DataType.FLOAT16)
        for value in list(self._graph.inputs):
            if value.dtype in LOW:
                self._widen_input(value)
        return self._changed

    def _widen(self, value: ir.Value) -> ir.DataType | None:
        """Make ``value`` float32; the type it had when that was a lower one."""
        dtype = value.dtype
        if dtype not in LOW or not isinstance(value.type, ir.TensorType | ir.SequenceType | ir.OptionalType):
            return None
        _set_float(value)
        self._changed = True
        return dtype

    def _widen_constants(self, graph: ir.Graph) -> None:
        for name, value in graph.initializers.items():
            tensor = value.const_value
            if tensor is not None and tensor.dtype in LOW:
                value.const_value = _wide(tensor, name)
                _set_float(value)
                self._changed = True

    def _widen_node(self, node: ir.Node) -> None:
        for name, attribute in list(node.attributes.items()):
            if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in LOW:
                node.attributes[name] = ir.AttrTensor(name, _wide(attribute.as_tensor(), name))
            elif name in _DTYPE_ATTRIBUTES and attribute.as_int() in LOW:
                node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT))
        dtypes = [self._widen(value) for value in node.outputs]
        if any(dtypes) and self._step_by_step(node, next(filter(None, dtypes))):
            return
        for value, dtype in zip(node.outputs, dtypes, strict=True):
            omitted = not value.name and not value.uses()
            if dtype is None or omitted or (node.op_type in _EXACT and node.domain == ""):
                continue
            if isinstance(value.type, ir.TensorType):
                self._round(node, value, dtype)

    def _step_by_step(self, node: ir.Node, dtype: ir.DataType) -> bool:
        """Round the states of a recurrent operator between its steps."""

        def rounded(value: ir.Value) -> list[ir.Node]:
            there = self._cast(value, dtype)
            return [there, self._cast(there.outputs[0], ir.DataType.FLOAT)]

        found = unrolled(node, self._names, rounded) if node.domain == "" else None
        if found is None:
            return False
        nodes, results = found
        assert isinstance(node.graph, ir.Graph)
        node.graph.insert_before(node, nodes)
        for old, new in zip(node.outputs, results, strict=False):
            name = old.name
            old.replace_all_uses_with(new, replace_graph_outputs=True)
            if name and new.is_graph_output():
                old.name, new.name = None, name
        node.graph.remove(node, safe=True)
        return True

    def _round(self, node: ir.Node, value: ir.Value, dtype: ir.DataType) -> None:
        """Let every reader of ``value`` read it rounded; a graph's output is the rounded one."""
        assert isinstance(node.graph, ir.Graph)
        there = self._cast(value, dtype)
        back = self._cast(there.outputs[0], ir.DataType.FLOAT)
        node.graph.insert_after(node, [there, back])
        result = back.outputs[0]
        value.replace_all_uses_with(result, replace_graph_outputs=True)
        there.replace_input_with(0, value)
        if value.name and result.is_graph_output():
            value.name, result.name = self._names.fresh(f"{value.name}_exact"), value.name

    def _restore_output(self, index: int, old: ir.Value, dtype: ir.DataType) -> None:
        """The main graph's output has the lower precision, as before."""
        value = self._graph.outputs[index]
        name = old.name if value is old else value.name
        cast = self._cast(value, dtype)
        self._graph.append(cast)
        value.name, cast.outputs[0].name = self._names.fresh(f"{name}_wide"), name
        self._graph.outputs[index] = cast.outputs[0]

    def _widen_input(self, value: ir.Value) -> None:
        self._changed = True
        cast = self._cast(value, ir.DataType.FLOAT)
        value.replace_all_uses_with(cast.outputs[0])
        cast.replace_input_with(0, value)
        first = next(iter(self._graph))
        self._graph.insert_before(first, cast)

    def _cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Node:
        name = self._names.fresh(f"{value.name}_{dtype.name.lower()}")
        cast = ir.node("Cast", [value], {"to": int(dtype)}, name=name)
        cast.outputs[0].name = name
        cast.outputs[0].type = ir.TensorType(dtype)
        cast.outputs[0].shape = None if value.shape is None else value.shape.copy()
        return cast


def _set_float(value: ir.Value) -> None:
    """Make a value float32; the type object itself is the original model's too."""
    value.type = copy.deepcopy(value.type)
    value.dtype = ir.DataType.FLOAT


def _wide(tensor: ir.TensorProtocol, name: str) -> ir.TensorProtocol:
    return ir.Tensor(tensor.numpy().astype(np.float32), name=name)
