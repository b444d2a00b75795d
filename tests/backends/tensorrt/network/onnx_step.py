"""One ONNX operator run by ONNX Runtime: for layers whose arithmetic is an operator's."""

from __future__ import annotations

from functools import lru_cache

import onnx
import onnxruntime as ort
from onnx import helper


def run_operator(op_type, inputs, **attributes):
    """The first output of one operator on arrays; None stands for an input left out."""
    signature = tuple(None if array is None else (array.dtype, array.shape) for array in inputs)
    session = _session(op_type, signature, tuple(sorted((k, _frozen(v)) for k, v in attributes.items())))
    feeds = {f"i{index}": array for index, array in enumerate(inputs) if array is not None}
    return session.run(None, feeds)[0]


def _frozen(value):
    return tuple(int(item) for item in value) if isinstance(value, (list, tuple)) else value


@lru_cache(maxsize=256)
def _session(op_type, signature, attributes):
    names = ["" if one is None else f"i{index}" for index, one in enumerate(signature)]
    fed = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one[0]), one[1])
        for name, one in zip(names, signature, strict=True)
        if one is not None
    ]
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in attributes}
    node = helper.make_node(op_type, names, ["y"], **settings)
    graph = helper.make_graph([node], "step", fed, [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
