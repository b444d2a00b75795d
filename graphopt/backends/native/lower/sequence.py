"""Attention, rotary embeddings and recurrent layers: the operands of ONNX, as they are."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.lower.context import Context, copied_all
from graphopt.backends.native.lower.movement import Lowering
from graphopt.backends.native.plan import Value


def lower_attention(node: ir.Node, ctx: Context) -> None:
    """``attention`` of three or four dims."""
    names = (
        "is_causal",
        "kv_num_heads",
        "left_window_size",
        "q_num_heads",
        "qk_matmul_output_mode",
        "right_window_size",
        "scale",
        "softcap",
        "softmax_precision",
    )
    ctx.emit(node, "attention", ctx.inputs(node), _wanted(node, ctx), copied_all(node, *names))


def lower_rotary_embedding(node: ir.Node, ctx: Context) -> None:
    """``rotary_embedding``."""
    names = ("interleaved", "num_heads", "rotary_embedding_dim")
    ctx.emit(node, "rotary_embedding", ctx.inputs(node), [ctx.output(node)], copied_all(node, *names))


def lower_recurrent(node: ir.Node, ctx: Context) -> None:
    """``lstm``, ``gru`` or ``rnn``; the activations are one string with commas."""
    names = (
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "input_forget",
        "layout",
        "linear_before_reset",
    )
    ctx.emit(node, node.op_type.lower(), ctx.inputs(node), _wanted(node, ctx), copied_all(node, *names))


def _wanted(node: ir.Node, ctx: Context) -> list[Value | None]:
    outputs = ctx.outputs(node)
    while outputs and outputs[-1] is None:
        outputs.pop()
    return outputs


SEQUENCE: dict[str, Lowering] = {
    "Attention": lower_attention,
    "GRU": lower_recurrent,
    "LSTM": lower_recurrent,
    "RNN": lower_recurrent,
    "RotaryEmbedding": lower_rotary_embedding,
}
