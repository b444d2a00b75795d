"""Operations of products: matmul, gemm, convolution, einsum. A multiply-add is two operations.

With (M, K) times (K, N): 2·M·N·K, of which the bias adds M·N. A convolution does 2·(Cin/group)·k per output
element, a transposed one 2·(Cout/group)·k per input element (k = product of the kernel's extents). These are
the counts of the operators' definitions, not of a fast algorithm such as Winograd's.
"""

from __future__ import annotations

from math import prod

from graphopt.ir.analyses.formulas.call import Call, Formula, Unknown
from graphopt.ir.analyses.sizes import Dims


def product(a: Dims, b: Dims) -> int:
    """Operations of numpy's ``matmul`` of extents ``a`` and ``b``; raises Unknown when they do not fit."""
    if not a or not b:
        raise Unknown
    rows, inner = (a[-2], a[-1]) if len(a) > 1 else (1, a[0])
    columns = b[-1] if len(b) > 1 else 1
    if inner != (b[-2] if len(b) > 1 else b[0]):
        raise Unknown
    return 2 * prod(broadcast(a[:-2], b[:-2])) * rows * inner * columns


def broadcast(a: Dims, b: Dims) -> Dims:
    """Extents of two arrays broadcast together; raises Unknown when they do not fit."""
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    padded = (1,) * (len(long) - len(short)) + short
    if any(x != y and 1 not in (x, y) for x, y in zip(long, padded, strict=True)):
        raise Unknown
    return tuple(y if x == 1 else x for x, y in zip(long, padded, strict=True))


def matmul(left: int = 0, right: int = 1, after: int = 0) -> Formula:
    """A matmul of inputs ``left`` and ``right`` with ``after`` operations per output element."""

    def formula(call: Call) -> int:
        operations = product(call.dims(left), call.dims(right))
        return operations + (after * call.out_size() if after else 0)

    return formula


def fused_matmul(call: Call) -> int:
    """com.microsoft FusedMatMul: transposed operands and a factor alpha."""
    a, b = list(call.dims(0)), list(call.dims(1))
    if call.integer("transA", 0):
        a[-2:] = a[-2:][::-1]
    if call.integer("transB", 0):
        b[-2:] = b[-2:][::-1]
    return product(tuple(a), tuple(b))


def gemm(call: Call) -> int:
    """alpha·A'·B' + beta·C: 2·M·N·K, and M·N for C."""
    a = call.dims(0)
    b = call.dims(1)
    if len(a) != 2 or len(b) != 2:
        raise Unknown
    rows, inner = a[::-1] if call.integer("transA", 0) else a
    columns = b[0] if call.integer("transB", 0) else b[1]
    return 2 * rows * inner * columns + (rows * columns if call.has(2) else 0)


def quantised_gemm(call: Call) -> int:
    """com.microsoft QGemm(A, a_scale, a_zero, B, b_scale, b_zero, C, …)."""
    a, b = call.dims(0), call.dims(3)
    rows, inner = a[::-1] if call.integer("transA", 0) else a
    columns = b[0] if call.integer("transB", 0) else b[1]
    return rows * columns * (2 * inner + (1 if call.has(6) else 0) + 3)


def matmul_n_bits(call: Call) -> int:
    """com.microsoft MatMulNBits: (M, K) by a (K, N) weight of packed blocks (shapes in attributes).

    Dequantising costs 2 per weight; it is not counted: a kernel does it once per tile.
    """
    inner, columns = call.integer("K"), call.integer("N")
    rows = prod(call.dims(0)[:-1])
    return rows * columns * (2 * inner + (1 if call.has(5) else 0))


def conv(weight: int = 1, bias: int | None = 2, after: int = 0) -> Formula:
    """A convolution (batch, channels, spatial…) with ``after`` operations per output element."""

    def formula(call: Call) -> int:
        kernel = call.dims(weight)
        per_output = 2 * prod(kernel[1:]) + (1 if bias is not None and call.has(bias) else 0) + after
        return call.out_size() * per_output

    return formula


def causal_conv(call: Call) -> int:
    """ONNX CausalConvWithState: a depthwise convolution of k taps, an optional SiLU (5) at the end."""
    activation = 0 if call.string("activation", "none") == "none" else 5
    return call.size(0) * (2 * call.dims(1)[-1] + int(call.has(2)) + activation)


def conv_transpose(call: Call) -> int:
    """Each input element is multiplied into (Cout/group)·k outputs."""
    kernel = call.dims(1)
    return 2 * call.size(0) * prod(kernel[1:]) + (call.out_size() if call.has(2) else 0)


def deformable_conv(call: Call) -> int:
    """A convolution whose samples are bilinear: 3 interpolations of 3 operations each, and the mask."""
    kernel = call.dims(1)
    batch, _, *spatial = call.out()
    samples = batch * call.dims(0)[1] * prod(spatial) * prod(kernel[2:])
    sampling = samples * (9 + (1 if call.has(4) else 0))
    return call.out_size() * (2 * prod(kernel[1:]) + (1 if call.has(3) else 0)) + sampling


def einsum(call: Call) -> int:
    """Pairwise from left to right, as ONNX Runtime contracts; each pair keeps the indices still needed."""
    inputs, output = _subscripts(call)
    extents: dict[str, int] = {}
    for index, letters in enumerate(inputs):
        for letter, extent in zip(letters, call.dims(index), strict=True):
            extents[letter] = max(extent, extents.get(letter, 1))
    current = set(inputs[0])
    operations = _reduction(current, set(output).union(*inputs[1:]), extents)
    current &= set(output).union(*inputs[1:])
    for index, letters in enumerate(inputs[1:], 1):
        every = current | set(letters)
        needed = set(output).union(*inputs[index + 1 :])
        points = prod(extents[x] for x in every)
        operations += points * (2 if every - needed else 1)
        current = every & needed
    return operations


def _reduction(indices: set[str], needed: set[str], extents: dict[str, int]) -> int:
    return prod(extents[x] for x in indices) if indices - needed else 0


def _subscripts(call: Call) -> tuple[list[str], str]:
    """The equation with every ellipsis spelled in upper-case-free private letters; raises Unknown."""
    equation = call.string("equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(call.node.inputs):
        raise Unknown
    ranks = [len(call.dims(i)) for i in range(len(terms))]
    ellipsis = max(
        (rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=True) if "..." in t),
        default=0,
    )
    letters = "".join(chr(0x2460 + i) for i in range(ellipsis))
    spelled = []
    for term, rank in zip(terms, ranks, strict=True):
        width = rank - len(term.replace("...", ""))
        term = term.replace("...", letters[ellipsis - width :] if width else "")
        if len(term) != rank:
            raise Unknown
        spelled.append(term)
    if not arrow:
        joined = "".join(terms).replace("...", "")
        right = letters + "".join(sorted(x for x in set(joined) if joined.count(x) == 1))
    return spelled, right.replace("...", letters)
