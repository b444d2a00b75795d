"""From a graph view to what the page draws: boxes with places and colours, edges with bends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphopt.report.layout import layered

Json = dict[str, Any]

_CHARACTER = 6.9
_SMALL_CHARACTER = 5.6
_PADDING = 26.0
_NARROWEST, _WIDEST = 64.0, 260.0

_FAMILIES = {
    "conv": "Conv ConvTranspose ConvInteger QLinearConv FusedConv NhwcConv DeformConv",
    "matmul": "MatMul Gemm Einsum MatMulInteger QLinearMatMul FusedMatMul FusedGemm MatMulNBits QGemm"
    " DynamicQuantizeMatMul MatMulIntegerToFloat Attention MultiHeadAttention GroupQueryAttention QAttention",
    "recurrent": "LSTM GRU RNN DynamicQuantizeLSTM If Loop Scan",
    "norm": "BatchNormalization LayerNormalization InstanceNormalization GroupNormalization RMSNormalization"
    " SkipLayerNormalization SimplifiedLayerNormalization EmbedLayerNormalization LpNormalization LRN Softmax"
    " LogSoftmax",
    "quantise": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear Cast CastLike",
    "move": "Reshape Transpose Squeeze Unsqueeze Concat Split Slice Gather GatherND GatherElements Expand"
    " Flatten Shape Size Identity Pad Tile Where ScatterND ScatterElements DepthToSpace SpaceToDepth Resize"
    " ConstantOfShape Range Trilu OneHot NonZero",
    "reduce": "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ArgMax"
    " ArgMin TopK MaxPool AveragePool GlobalAveragePool GlobalMaxPool CumSum",
    "edge": "Input Output",
}
_FAMILY_OF = {op: family for family, ops in _FAMILIES.items() for op in ops.split()}


def drawing(view: Json) -> Json:
    """Boxes and edges in the form ``pane.js`` reads.

    Returns:
        ``nodes``: the view's nodes with ``x``, ``y`` (centre), ``w`` (width) and ``f`` (family);
        ``edges``: ``[producer, consumer, output, bends]`` where bends are flat ``x, y, …`` or null for
        edges drawn only on selection; ``w`` and ``h`` of the whole; the view's other keys.
    """
    nodes = [dict(node) for node in view["nodes"]]
    widths = [_width(node) for node in nodes]
    layout = layered(widths, [(a, b) for a, b, _ in view["edges"]])
    for node, width, (x, y) in zip(nodes, widths, layout.centres, strict=True):
        node.update(x=round(x), y=round(y), w=round(width), f=family(node["op"]))
    edges = [
        [a, b, output, None if route is None else [round(c) for point in route for c in point]]
        for (a, b, output), route in zip(view["edges"], layout.routes, strict=True)
    ]
    rest = {key: view[key] for key in ("functions", "omitted", "folded") if view.get(key)}
    return {"nodes": nodes, "edges": edges, "w": round(layout.width), "h": round(layout.height), **rest}


def family(op: str) -> str:
    """The colour group of an operator; folded blocks and other domains by the name without its domain."""
    name = op.rpartition("::")[2]
    if name.startswith("Composite") or ("::" in op and not op.startswith("com.microsoft")):
        return _FAMILY_OF.get(name, "fused")
    return _FAMILY_OF.get(name.split(" ")[-1] if " " in name else name, "other")


def mark_changes(before: Json, after: Json) -> tuple[Json, Json]:
    """Copies of both views in which nodes without a partner are marked ``new`` or ``gone``.

    Partners have the same operator and the same name or the same first output.
    """
    known_before, known_after = _identities(before["nodes"]), _identities(after["nodes"])
    return _marked(before, known_after, "gone"), _marked(after, known_before, "new")


def _marked(view: Json, others: set[tuple[str, str]], mark: str) -> Json:
    nodes = [node if others & set(_names(node)) else {**node, "mark": mark} for node in view["nodes"]]
    return {**view, "nodes": nodes}


def _identities(nodes: Iterable[Json]) -> set[tuple[str, str]]:
    return {key for node in nodes for key in _names(node)}


def _names(node: Json) -> list[tuple[str, str]]:
    outputs = node.get("outs") or [""]
    names = [node.get("name", ""), "→" + outputs[0].rpartition(": ")[0]]
    return [(node["op"], name) for name in names if name not in ("", "→")]


def _width(node: Json) -> float:
    outputs = node.get("outs") or [""]
    kind = outputs[0].rpartition(": ")[2]
    text = max(len(node["op"]) * _CHARACTER, min(len(kind), 30) * _SMALL_CHARACTER)
    return min(_WIDEST, max(_NARROWEST, text + _PADDING))
