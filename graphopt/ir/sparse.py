"""Sparse constants become dense ones: the IR and every backend behind it know only dense tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.ir.tensor_check import check_tensor
from graphopt.ir.weights import tensor_bytes

_MAX_DENSE_BYTES = 1 << 30


def densify(model: onnx.ModelProto) -> None:
    """Replace every sparse initializer and every ``Constant(sparse_value=…)`` by its dense tensor.

    Raises:
        ModelError: the indices do not fit the dims, or the dense tensor would pass 1 GiB.
    """
    _densify_graph(model.graph)
    for function in model.functions:
        _densify_nodes(function.node)


def _densify_graph(graph: onnx.GraphProto) -> None:
    for sparse in graph.sparse_initializer:
        graph.initializer.append(dense(sparse, sparse.values.name))
    if graph.sparse_initializer:  # Clearing marks the graph as set, even where there is none.
        graph.ClearField("sparse_initializer")
    _densify_nodes(graph.node)


def _densify_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor"):
                if node.op_type != "Constant":
                    raise ModelError(
                        f"node {node.name!r} ({node.op_type}) has a sparse attribute", "make it dense"
                    )
                attribute.t.CopyFrom(dense(attribute.sparse_tensor, ""))
                attribute.ClearField("sparse_tensor")
                attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
            if attribute.HasField("g"):
                _densify_graph(attribute.g)
            for graph in attribute.graphs:
                _densify_graph(graph)


def dense(sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
    """``sparse`` as a dense tensor called ``name``; indices are flat [N] or one row per element [N, rank]."""
    hint = "the file is damaged: export it again"
    result = onnx.TensorProto(name=name, data_type=sparse.values.data_type, dims=sparse.dims)
    size = tensor_bytes(result)
    if size > _MAX_DENSE_BYTES:
        raise ModelError(
            f"sparse tensor {name!r} would take {size} bytes when dense", "store it dense or split it"
        )
    for part in (sparse.values, sparse.indices):
        check_tensor(part)
        if part.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelError(
                f"sparse tensor {name!r} has external data", "store its values in the model file"
            )
    values = _array(sparse.values).reshape(-1)
    indices = _array(sparse.indices)
    if indices.dtype != np.int64 or indices.ndim not in (1, 2) or indices.shape[0] != values.size:
        raise ModelError(f"sparse tensor {name!r} has {values.size} values and indices {indices.shape}", hint)
    shape = tuple(sparse.dims)
    if indices.ndim == 2:
        if indices.shape[1] != len(shape) or (indices < 0).any() or (indices >= np.array(shape)).any():
            raise ModelError(f"sparse tensor {name!r} has indices outside its dims {list(shape)}", hint)
        indices = np.ravel_multi_index(tuple(indices.T), shape) if values.size else np.empty(0, np.int64)
    elif values.size and (indices.min() < 0 or indices.max() >= np.prod(shape)):
        raise ModelError(f"sparse tensor {name!r} has indices outside its dims {list(shape)}", hint)
    flat = np.zeros(int(np.prod(shape)), values.dtype)
    flat[indices] = values
    result.raw_data = flat.tobytes()
    return result


def _array(tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    return np.asarray(ir.serde.TensorProtoTensor(tensor).numpy())
