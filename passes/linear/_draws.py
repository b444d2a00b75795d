"""Cases with Conv, ConvTranspose, Gemm or MatMul, for the proofs of the rules about them."""

from __future__ import annotations

from graphopt.rewrite.draw import Draw


def draw_host(draw: Draw, *, bias: bool | None = None, pads: bool = True) -> int:
    """Draw x, w and, half of the time, b of the linear operator this trial is about.

    Args:
        draw: the case.
        bias: with or without one for certain.
        pads: whether a convolution may pad.

    Returns:
        The number of output channels.
    """
    op = next(op for op in draw.ops if op in ("Conv", "ConvTranspose", "Gemm", "MatMul"))
    if op == "Gemm":
        channels = _gemm(draw)
    elif op == "MatMul":
        draw.input("x", "N", 2, 4)
        draw.constant("w", draw.array(4, 3))
        return 3
    else:
        channels = _convolution(draw, op, pads)
    if bias is True or (bias is None and draw.flag()):
        draw.constant("b", draw.array(channels))
    else:
        draw.omit("b")
    return channels


def _gemm(draw: Draw) -> int:
    transposed = draw.flag()
    draw.input("x", "N", 4)
    draw.constant("w", draw.array(*((3, 4) if transposed else (4, 3))))
    draw.attribute("attrs", {"transB": int(transposed), "alpha": 0.5, "beta": draw.choice(1.0, 2.0)})
    return 3


def _convolution(draw: Draw, op: str, pads: bool) -> int:
    group = draw.choice(1, 2)
    spatial = draw.choice(1, 2)
    kernel = tuple(draw.choice(1, 3) for _ in range(spatial))
    draw.input("x", "N", 4, *(5, 6)[:spatial])
    first, second = (6, 4 // group) if op == "Conv" else (4, 6 // group)
    draw.constant("w", draw.array(first, second, *kernel))
    edges = [k // 2 if pads else 0 for k in kernel]
    draw.attribute(
        "attrs", {"group": group, "pads": (*edges, *edges), "strides": (draw.choice(1, 2),) * spatial}
    )
    return 6
