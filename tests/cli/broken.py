"""Models that are broken in every way a person has met."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper


def _value(name: str, shape: list[int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape or [4])


def _model(
    nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto] | None = None, inputs: bool = True
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "broken", [_value("x")] if inputs else [], [_value("y")], initializer=initializers or []
    )
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", 17)] + [helper.make_opsetid(domain, 1) for domain in sorted(domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def not_onnx(path: Path) -> None:
    path.write_text("this is a letter to my mother, not a model\n" * 20)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4], np.ones(4, np.float32).tobytes(), raw=True)
    data = _model([helper.make_node("Add", ["x", "w"], ["y"])], [weights]).SerializeToString()
    path.write_bytes(data[: len(data) - 7])


def _external(path: Path, location: str, length: int) -> None:
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        weights.external_data.add(key=key, value=value)
    path.write_bytes(_model([helper.make_node("Add", ["x", "w"], ["y"])], [weights]).SerializeToString())


def external_outside(path: Path) -> None:
    (path.parent.parent / "secret.bin").write_bytes(bytes(16))
    _external(path, "../secret.bin", 16)


def external_missing(path: Path) -> None:
    _external(path, "nowhere.bin", 16)


def external_short(path: Path) -> None:
    (path.parent / "short.bin").write_bytes(bytes(8))
    _external(path, "short.bin", 16)


def cycle(path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    path.write_bytes(_model([*nodes, helper.make_node("Neg", ["b"], ["y"])]).SerializeToString())


def unknown_op(path: Path) -> None:
    path.write_bytes(_model([helper.make_node("Frobnicate", ["x"], ["y"])]).SerializeToString())


def unknown_domain(path: Path) -> None:
    node = helper.make_node("Frobnicate", ["x"], ["y"], domain="com.example")
    path.write_bytes(_model([node]).SerializeToString())


def undefined_input(path: Path) -> None:
    path.write_bytes(_model([helper.make_node("Add", ["x", "ghost"], ["y"])]).SerializeToString())


def wrong_arity(path: Path) -> None:
    path.write_bytes(_model([helper.make_node("Add", ["x"], ["y"])]).SerializeToString())


def absurd_sizes(path: Path) -> None:
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40, 1 << 20], raw_data=bytes(16))
    path.write_bytes(_model([helper.make_node("Add", ["x", "w"], ["y"])], [weights]).SerializeToString())


def negative_sizes(path: Path) -> None:
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-4], raw_data=bytes(16))
    path.write_bytes(_model([helper.make_node("Add", ["x", "w"], ["y"])], [weights]).SerializeToString())


# What is written, and a word the message must hold.
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "not_onnx": (not_onnx, "not"),
    "empty": (empty, "empty"),
    "truncated": (truncated, ""),
    "external_outside": (external_outside, "../secret.bin"),
    "external_missing": (external_missing, "nowhere.bin"),
    "external_short": (external_short, "short.bin"),
    "cycle": (cycle, "cycle"),
    "unknown_op": (unknown_op, "Frobnicate"),
    "unknown_domain": (unknown_domain, "a function of its name"),
    "undefined_input": (undefined_input, "ghost"),
    "wrong_arity": (wrong_arity, "Add"),
    "absurd_sizes": (absurd_sizes, "w"),
    "negative_sizes": (negative_sizes, "w"),
}


def chain(path: Path, length: int) -> None:
    """A model of ``length`` nodes in a row: deep, but nothing is wrong with it."""
    names = ["x", *(f"v{i}" for i in range(length - 1)), "y"]
    nodes = [helper.make_node("Neg", [a], [b]) for a, b in itertools.pairwise(names)]
    path.write_bytes(_model(nodes).SerializeToString())
