"""Products, convolutions, pools, resizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.backends.native.random_operators.draw import F32, Bound, Case, Draw, Operand, data, deciding
from tests.backends.native.random_operators.pointwise import Make

_SUM = Bound(ulps=4, of_magnitude=8)
"""Sums of products: blocked and fused, so far below k roundings; what stays is a few epsilons of Σ|a·b|."""


def _product(terms: int) -> Bound:
    return Bound(ulps=4, of_magnitude=4 + terms**0.5)


def _mat_mul(d: Draw) -> Case:
    m, n, k = d.size(most=70), d.size(most=70), d.size(most=130)
    form = d.number(0, 5)
    batch = d.dims(d.number(1, 3), budget=8) if form == 5 else ()
    a, b = (*batch, m, k), (*batch, k, n)
    if form == 5:
        drop = d.number(0, len(batch))
        keep = tuple(s if d.chance(0.7) else 1 for s in batch)
        a, b = ((*keep[drop:], m, k), b) if d.chance() else (a, (*keep[drop:], k, n))
    elif form == 4:
        a, b = ((k,), b) if d.chance() else (a, (k,))
        if d.chance(0.2):
            a, b = (k,), (k,)
    return Case("MatMul", [data(d.floats(a)), data(d.floats(b))], {}, _product(k))


def _gemm(d: Draw) -> Case:
    m, n, k = d.size(most=70), d.size(most=70), d.size(most=130)
    attributes: dict[str, Any] = {}
    a, b = (m, k), (k, n)
    if d.chance():
        attributes["transA"], a = 1, (k, m)
    if d.chance():
        attributes["transB"], b = 1, (n, k)
    for name in ("alpha", "beta"):
        if d.chance(0.3):
            attributes[name] = d.one_of((0.5, -2.0, 0.0))
    operands: list[Operand | None] = [data(d.floats(a)), data(d.floats(b))]
    if d.chance(0.7):
        operands.append(data(d.floats(d.one_of(((), (1,), (n,), (1, n), (m, 1), (m, n), (1, 1))))))
    return Case("Gemm", operands, attributes, _product(k + 1))


_EQUATIONS = (
    "ij,jk->ik", "bij,bjk->bik", "bij,bkj->bik", "bhid,bhjd->bhij", "bhij,bhjd->bhid", "ij,jk",
    "ij->ji", "ij->i", "bij->bj", "ijk->", "bij->jb", "i,i->", "i,j->ij", "bi,bi->b", "bi,bj->bij",
    "...ij,...jk->...ik", "...ij->...ji", "ij,ij->ij", "bnth,bsnh->bnts", "ik,kj->ji", "bik,jk->bij",
    "ijk,k->ij", "b i j , b j k -> b i k", "...i,...i->...", "ij->", "i->i", "abc,cd->abd",
)  # fmt: skip


def _einsum(d: Draw) -> Case:
    equation = d.one_of(_EQUATIONS)
    sizes = {c: d.size(least=1, most=33) for c in "ijkbhdntsac"}  # ONNX Runtime dies of zeros
    for c in "bh":
        sizes[c] = d.size(least=1, most=3)
    dots = d.dims(d.number(0, 2), least=1, budget=6)
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    shapes = [(*(dots if "..." in t else ()), *(sizes[c] for c in t.replace("...", ""))) for t in terms]
    return Case(
        "Einsum",
        [data(d.floats(s, scale=0.5)) for s in shapes],
        {"equation": equation},
        Bound(ulps=8, of_magnitude=40),
    )


def _spatial(d: Draw, rank: int) -> tuple[int, ...]:
    most = {1: 65, 2: 17, 3: 8}[rank]
    return tuple(d.size(least=1, most=most) for _ in range(rank))


def _window(
    d: Draw, kernel: list[int], space: tuple[int, ...], *, dilated: bool = True
) -> dict[str, Any] | None:
    """Strides, pads and dilations with which the window fits; None where it does not."""
    rank = len(kernel)
    attributes: dict[str, Any] = {}
    strides, dilations = [1] * rank, [1] * rank
    if d.chance():
        attributes["strides"] = strides = [d.number(1, 3) for _ in kernel]
    if dilated and d.chance(0.3):
        attributes["dilations"] = dilations = [d.number(1, 3) for _ in kernel]
    reach = [(k - 1) * e + 1 for k, e in zip(kernel, dilations, strict=True)]
    pads = [0] * (2 * rank)
    kind = d.number(0, 4)
    if kind == 0:
        # Where the window is smaller than its stride or dilated, nobody agrees on what SAME means.
        same = all(k >= s for k, s in zip(kernel, strides, strict=True)) and max(dilations) == 1
        attributes["auto_pad"] = d.one_of(("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")[0 if same else 2 :])
        if attributes["auto_pad"].startswith("SAME"):
            return attributes
    elif kind < 4:
        pads = [d.number(0, min(3, k - 1)) for k in (*kernel, *kernel)]
        if kind == 1:
            pads = [*pads[:rank], *pads[:rank]]
        attributes["pads"] = pads
    fits = all(s + pads[i] + pads[i + rank] >= reach[i] for i, s in enumerate(space))
    return attributes if fits else None


def _conv(d: Draw) -> Case:
    rank = d.one_of((1, 2, 2, 2, 2, 3))
    group = d.one_of((1, 1, 1, 2, 3, 8, 17))
    channels = group * (
        d.size(least=1, most=33) if group < 3 else d.size(least=1, most=3) if d.chance() else 1
    )
    out = group * (d.size(least=1, most=65 if group == 1 else 8) if group == 1 or d.chance() else 1)
    kernel = [d.one_of((1, 1, 2, 3, 3, 3, 4, 5, 7)) for _ in range(rank)]
    if rank == 2 and d.chance(0.6):
        kernel = [kernel[0]] * 2
    space = _spatial(d, rank)
    attributes = _window(d, kernel, space)
    if attributes is None:
        kernel, attributes = [1] * rank, {}
    if group > 1 or d.chance(0.3):
        attributes["group"] = group
    if d.chance():
        attributes["kernel_shape"] = kernel
    batch = d.size(most=3)
    weight = d.tame((out, channels // group, *kernel))
    operands = [data(d.floats((batch, channels, *space))), data(weight)]
    if d.chance(0.6):
        operands.append(data(d.tame((out,))))
    return Case("Conv", operands, attributes, _product(weight[0].size + 1))


def _conv_transpose(d: Draw) -> Case:
    rank = d.one_of((1, 2, 2, 2, 3))
    group = d.one_of((1, 1, 1, 2, 4))
    channels, out = group * d.size(least=1, most=17), d.size(least=1, most=17)
    kernel = [d.number(1, 4) for _ in range(rank)]
    space = tuple(d.size(least=1, most={1: 33, 2: 11, 3: 5}[rank]) for _ in range(rank))
    attributes: dict[str, Any] = {}
    strides, dilations, output_padding = [1] * rank, [1] * rank, [0] * rank
    if d.chance(0.7):
        attributes["strides"] = strides = [d.number(1, 3) for _ in kernel]
    if d.chance(0.3):
        attributes["dilations"] = dilations = [d.number(1, 2) for _ in kernel]
    if d.chance(0.3):
        attributes["output_padding"] = output_padding = [
            d.number(0, max(s, e) - 1) for s, e in zip(strides, dilations, strict=True)
        ]
    full = [
        s * (n - 1) + (k - 1) * e + 1 + p
        for s, n, k, e, p in zip(strides, space, kernel, dilations, output_padding, strict=True)
    ]
    kind = d.number(0, 4)
    if kind == 0:
        reach = [(k - 1) * e + 1 for k, e in zip(kernel, dilations, strict=True)]
        fits = all(r >= s for r, s in zip(reach, strides, strict=True))  # or nobody agrees on the size
        attributes["auto_pad"] = d.one_of(("SAME_UPPER", "SAME_LOWER", "VALID")) if fits else "VALID"
    elif kind == 1:
        attributes["output_shape"] = [max(1, f - d.number(0, 2)) for f in full]
    elif kind < 4:
        half = [d.number(0, min(2, (f - 1) // 2)) for f in (*full, *full)]
        attributes["pads"] = half
    if group > 1 or d.chance(0.3):
        attributes["group"] = group
    if d.chance():
        attributes["kernel_shape"] = kernel
    operands = [data(d.floats((d.size(most=3), channels, *space))), data(d.tame((channels, out, *kernel)))]
    if d.chance():
        operands.append(data(d.tame((out * group,))))
    terms = channels // group * int(np.prod(kernel)) + 1
    return Case("ConvTranspose", operands, attributes, _product(terms))


def _pool(op: str) -> Make:
    def make(d: Draw) -> Case:
        d.wild = False
        rank = d.one_of((1, 2, 2, 2, 3))
        kernel = [d.number(1, 4) for _ in range(rank)]
        space = _spatial(d, rank)
        opset = d.one_of((13, 19, 22)) if op != "LpPool" else 18
        attributes = _window(d, kernel, space, dilated=op == "MaxPool" or opset >= 18)
        if attributes is None:
            kernel, attributes = [1] * rank, {}
        attributes["kernel_shape"] = kernel
        if d.chance(0.4):
            attributes["ceil_mode"] = d.number(0, 1)
        bound = Bound()
        if op == "AveragePool":
            bound = Bound(ulps=4, of_magnitude=4)
            if d.chance():
                attributes["count_include_pad"] = d.number(0, 1)
        if op == "LpPool":
            bound = Bound(ulps=16, of_largest=2)
            if d.chance():
                attributes["p"] = d.number(1, 3)
        channels = d.size(least=1)
        return Case(op, [data(d.floats((d.size(most=3), channels, *space)))], attributes, bound, opset=opset)

    return make


def _global_pool(op: str) -> Make:
    def make(d: Draw) -> Case:
        d.wild = False  # whether the largest of NaN and numbers is NaN is up to each
        x = d.floats(d.dims(d.rank(3, 5), least=1))
        attributes = {"p": d.number(1, 2)} if op == "GlobalLpPool" and d.chance() else {}
        bound = Bound() if op == "GlobalMaxPool" else Bound(ulps=8, of_magnitude=8)
        return Case(op, [data(x)], attributes, bound)

    return make


def _lrn(d: Draw) -> Case:
    d.wild = False
    x = d.floats(d.dims(d.rank(3, 5), least=1))
    attributes: dict[str, Any] = {"size": d.one_of((1, 2, 3, 4, 5, 7))}
    for name, values in {"alpha": (1e-3, 0.5), "beta": (0.5, 0.75, 1.2), "bias": (1.0, 2.0, 0.5)}.items():
        if d.chance():
            attributes[name] = d.one_of(values)
    return Case("LRN", [data(x)], attributes, Bound(ulps=24))


_TRANSFORMS = (
    "half_pixel", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize",
)  # fmt: skip


def _resize(d: Draw) -> Case:
    d.wild = False
    rank = d.one_of((1, 2, 3, 4, 4, 4, 5))
    mode = d.one_of(("nearest", "linear", "linear", "cubic"))
    axes = sorted(int(a) for a in d.rng.choice(rank, min(rank, d.number(1, 2)), replace=False))
    if mode == "nearest" and d.chance(0.2):
        axes = list(range(rank))
    if rank >= 4 and d.chance(0.6):
        axes = [rank - 2, rank - 1]
    dims = [d.size(least=1, most=17 if i in axes else 4) for i in range(rank)]
    attributes: dict[str, Any] = {"mode": mode}
    # Cropping puts coordinates where the last bit decides which neighbour is nearest.
    transform = d.one_of(_TRANSFORMS[: 6 if mode == "nearest" else 7])
    if mode != "nearest" and transform == "pytorch_half_pixel":
        mode, transform = "linear", d.one_of((transform, "half_pixel"))  # onnx.reference reads -0.5, not 0
    attributes["mode"] = mode
    if transform != "half_pixel" or d.chance():
        attributes["coordinate_transformation_mode"] = transform
    if mode == "nearest" and d.chance(0.7):
        attributes["nearest_mode"] = d.one_of(("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"))
    if mode == "cubic" and d.chance(0.3):
        attributes["cubic_coeff_a"] = -0.5
    if mode != "nearest" and transform not in ("tf_crop_and_resize", "pytorch_half_pixel"):
        if d.chance(0.3):
            attributes["antialias"] = 1
        if mode == "cubic" and d.chance(0.3):
            attributes["exclude_outside"] = 1
    by_axes = d.chance() and axes != list(range(rank))
    factors = {a: d.one_of((0.25, 0.5, 0.6, 1.0, 1.5, 2.0, 2.0, 3.0, 3.7)) for a in axes}
    roi: Operand | None = None
    listed = axes if by_axes else list(range(rank))
    if by_axes:
        attributes["axes"] = axes
    if transform == "tf_crop_and_resize":
        low = [0.1 if a in axes else 0.0 for a in listed]
        high = [d.one_of((0.8, 1.3)) if a in axes else 1.0 for a in listed]
        roi = deciding([*low, *high], F32)
        if d.chance(0.4):
            attributes["extrapolation_value"] = 2.5
    if d.chance():
        scales = deciding([factors.get(a, 1.0) for a in listed], F32)
        operands = [data(d.floats(dims)), roi, scales]
    else:
        sizes = [max(1, int(dims[a] * factors[a])) if a in axes else dims[a] for a in listed]
        if by_axes and transform != "half_pixel_symmetric" and d.chance(0.3):
            attributes["keep_aspect_ratio_policy"] = d.one_of(("not_larger", "not_smaller", "stretch"))
        operands = [data(d.floats(dims)), roi, None, deciding(sizes)]
    bound = Bound() if mode == "nearest" else Bound(ulps=8, of_largest=40)
    return Case("Resize", operands, attributes, bound, opset=d.one_of((18, 19, 23)))


LINEAR: dict[str, Make] = {
    "AveragePool": _pool("AveragePool"),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool("GlobalAveragePool"),
    "GlobalLpPool": _global_pool("GlobalLpPool"),
    "GlobalMaxPool": _global_pool("GlobalMaxPool"),
    "LRN": _lrn,
    "LpPool": _pool("LpPool"),
    "MatMul": _mat_mul,
    "MaxPool": _pool("MaxPool"),
    "Resize": _resize,
}
