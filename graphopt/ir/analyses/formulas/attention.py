"""Operations of attention: 2·B·H·Sq·Skv·(D + Dv) for the two products, plus the softmax over the scores.

Causal masks are not discounted: the count is of the operator's definition (Vaswani et al., 2017).
"""

from __future__ import annotations

from math import prod

from graphopt.ir.analyses.formulas.call import Call, Formula, Unknown

SOFTMAX = 5
"""Per element: maximum, subtraction, exponential, sum, division."""


def scores(batch: int, heads: int, queries: int, keys: int, width: int, value_width: int, extra: int) -> int:
    """Both products and the softmax; ``extra`` operations per score (scale, mask, cap)."""
    points = batch * heads * queries * keys
    return points * (2 * width + 2 * value_width + SOFTMAX + extra)


def attention(call: Call) -> int:
    """ONNX Attention-23: Q, K, V as (B, H, S, D) or (B, S, H·D), an optional past of keys."""
    q, k, v = call.dims(0), call.dims(1), call.dims(2)
    extra = 1 + int(call.has(3)) + (2 if "softcap" in call.node.attributes else 0)
    past = call.dims(4)[2] if call.has(4) else 0
    if len(q) == 4:
        return scores(q[0], q[1], q[2], k[2] + past, q[3], v[3], extra)
    heads, kv_heads = call.integer("q_num_heads"), call.integer("kv_num_heads")
    return scores(q[0], heads, q[1], k[1] + past, q[2] // heads, v[2] // kv_heads, extra)


def packed_attention(weight: int, bias: int) -> Formula:
    """com.microsoft Attention and QAttention: one input projected to Q, K and V first."""

    def formula(call: Call) -> int:
        (batch, length, width), projected = call.dims(0), call.dims(weight)[-1]
        sizes = call.integers("qkv_hidden_sizes") or (projected // 3,) * 3
        heads = call.integer("num_heads")
        projection = batch * length * projected * (2 * width + int(call.has(bias)))
        past = _past(call, 4 if weight == 1 else 8)
        return projection + scores(
            batch, heads, length, length + past, sizes[0] // heads, sizes[2] // heads, extra=1
        )

    return formula


def _past(call: Call, index: int) -> int:
    """Length of com.microsoft Attention's stacked past (2, B, H, P, D)."""
    return call.dims(index)[3] if call.has(index) else 0


def multi_head_attention(call: Call) -> int:
    """com.microsoft MultiHeadAttention: query (B, S, H·D); key (B, L, H·D) or (B, H, L, D)."""
    q, heads = call.dims(0), call.integer("num_heads")
    if len(q) == 5 or not call.has(1):
        batch, length, width = q[0], q[1], (q[4] if len(q) == 5 else q[2] // (3 * heads))
        return scores(batch, heads, length, length, width, width, extra=1)
    batch, length, width = q[0], q[1], q[2] // heads
    k = call.dims(1)
    if len(k) == 5:
        return scores(batch, heads, length, k[1], width, width, extra=1)
    keys = k[1] if len(k) == 3 else k[2]
    past = call.dims(6)[2] if call.has(6) else 0
    v = call.dims(2)
    value_width = v[2] // heads if len(v) == 3 else v[3]
    return scores(batch, heads, length, keys + past, width, value_width, extra=1 + int(call.has(5)))


def group_query_attention(call: Call) -> int:
    """com.microsoft GroupQueryAttention: fewer key heads, keys appended to a past (B, Hkv, P, D)."""
    q = call.dims(0)
    heads, kv_heads = call.integer("num_heads"), call.integer("kv_num_heads")
    packed = not call.has(1)
    width = q[2] // (heads + 2 * kv_heads) if packed else q[2] // heads
    past = call.dims(3)[2] if call.has(3) else 0
    rotary = 3 * q[0] * q[1] * width * (heads + kv_heads) if call.integer("do_rotary", 0) else 0
    return scores(q[0], heads, q[1], q[1] + past, width, width, extra=1) + rotary


def rotary_embedding(call: Call) -> int:
    """Each rotated pair: 4 multiplications, an addition, a subtraction."""
    dims = call.dims(0)
    partial = call.integer("rotary_embedding_dim", 0)
    if not partial:
        return 3 * prod(dims)
    width = dims[-1] if len(dims) == 4 else dims[-1] // max(1, call.integer("num_heads", 0))
    if width <= 0:
        raise Unknown
    return 3 * prod(dims) * partial // width


def linear_attention(call: Call) -> int:
    """ONNX LinearAttention-27: a state of D x Dv per key head, updated and read at every token.

    Update 2·D·Dv, decay D·Dv, the delta rule's prediction 2·D·Dv + 2·Dv; each query head reads 2·D·Dv + Dv.
    """
    q, k, v = call.dims(0), call.dims(1), call.dims(2)
    heads, kv_heads = call.integer("q_num_heads"), call.integer("kv_num_heads")
    width, value_width = k[2] // kv_heads, v[2] // kv_heads
    state = width * value_width
    rule = call.string("update_rule", "gated_delta")
    update = 2 * state + (state if "gated" in rule else 0)
    update += 2 * state + 2 * value_width if "delta" in rule else 0
    return q[0] * q[1] * (kv_heads * update + heads * (2 * state + value_width))
