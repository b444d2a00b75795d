"""SpellBlockProducts: products with weights packed in blocks of a few bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphopt.backends.tensorrt.legalize._steps import Array
from graphopt.pipeline.context import PassContext
from graphopt.pipeline.pass_base import Pass
from graphopt.rewrite.draw import Draw
from graphopt.rewrite.driver import apply
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Constant, Replacement
from graphopt.rewrite.rule import Refusal, Rule

if TYPE_CHECKING:
    import numpy.typing as npt

    Whole = npt.NDArray[np.int32]


def _sizes(match: Match) -> tuple[int, int, int, int]:
    """Rows and columns of the weight, the size of a block, and bits."""
    rows, columns, block = match.attr_int("k"), match.attr_int("n"), match.attr_int("block")
    assert rows is not None, "the guard asked for it"
    assert columns is not None, "the guard asked for it"
    assert block is not None, "the guard asked for it"
    return rows, columns, block, match.attr_int("bits") or 4


def _refuses(match: Match) -> str | None:
    if not all(match.attr_int(name) for name in ("k", "n", "block")):
        return "it does not say its sizes"
    rows, _, block, bits = _sizes(match)
    if bits not in (4, 8) or rows % block:
        return "its blocks do not divide the rows of its weight into 4 or 8 bits"
    if not all(match.is_constant(name) for name in ("w", "s", "z") if name in match):
        return "its weight is computed"
    if match.dtype("w") != ir.DataType.UINT8:
        return "its weight is not packed in bytes"
    if "order" in match:
        return "its rows are in another order"
    return None


def _numbers(packed: Array, bits: int) -> Whole:
    """The numbers in the last axis of packed bytes; of two in a byte the lower half is the first."""
    wide = packed.astype(np.int32)
    if bits == 8:
        return wide
    return np.stack([wide & 15, wide >> 4], axis=-1).reshape((*packed.shape[:-1], -1))


def _zeros(match: Match, columns: int, blocks: int, bits: int) -> Whole | None:
    """One zero point for each block, or None where they are no whole numbers."""
    zero = match.constant("z") if "z" in match else None
    if zero is None:
        return np.full((columns, blocks), 1 << (bits - 1), np.int32)
    if zero.dtype == np.uint8:
        return _numbers(zero.reshape(columns, -1), bits)[:, :blocks]
    whole = np.rint(zero.astype(np.float32))
    return None if (whole != zero).any() else whole.astype(np.int32).reshape(columns, blocks)


def _stored(numbers: Whole) -> Constant:
    """Whole numbers in the smallest signed type TensorRT has for them; floats where none is left."""
    low, high = numbers.min(initial=0), numbers.max(initial=0)
    if low >= -8 and high <= 7:
        return ir.tensor(numbers.astype(ml_dtypes.int4), dtype=ir.DataType.INT4)
    return numbers.astype(np.int8) if low >= -128 and high <= 127 else numbers.astype(np.float32)


def _spelled(match: Match) -> Replacement:
    rows, columns, block, bits = _sizes(match)
    blocks = rows // block
    packed, scale, kind = match.constant("w"), match.constant("s"), match.dtype("y") or match.dtype("x")
    assert packed is not None, "the guard let only constants through"
    assert scale is not None, "the guard let only constants through"
    numbers = _numbers(packed.reshape(columns, blocks, -1), bits).reshape(columns, blocks, block)
    zeros = _zeros(match, columns, blocks, bits)
    steps = scale.reshape(columns, blocks)
    constants: dict[str, Constant] = {}
    stored = None if zeros is None else _stored((numbers - zeros[:, :, None]).reshape(columns, rows).T)
    if stored is None or (isinstance(stored, np.ndarray) and stored.dtype == np.float32):
        constants["weight"] = _floats(match, numbers, steps).astype((kind or ir.DataType.FLOAT).numpy())
        lines = []
    else:
        constants.update(numbers=stored, steps=np.ascontiguousarray(steps.T))
        lines = ["weight = DequantizeLinear <axis = 0, block_size = @block> (numbers, steps)"]
    if "bias" in match:
        lines += ["product = MatMul (x, weight)", "y = Add (product, bias)"]
    else:
        lines.append("y = MatMul (x, weight)")
    return Replacement("\n".join(lines), constants=constants)


def _floats(match: Match, numbers: Whole, steps: Array) -> npt.NDArray[np.float32]:
    """The weight of rows by columns, where no integers hold it."""
    columns, blocks, block = numbers.shape
    zero = match.constant("z")
    of_bytes = _zeros(match, columns, blocks, match.attr_int("bits") or 4)
    offset = of_bytes if of_bytes is not None or zero is None else zero.reshape(columns, blocks)
    assert offset is not None, "whole or not, there is one"
    centred = numbers.astype(np.float32) - offset.astype(np.float32)[:, :, None]
    floats = centred * steps.astype(np.float32)[:, :, None]
    return np.ascontiguousarray(floats.reshape(columns, blocks * block).T)


def _draw(draw: Draw) -> None:
    bits, block, blocks, columns = draw.choice(4, 8), 16, 2, 6
    draw.input("x", "N", 3, block * blocks)
    draw.constant("w", draw.rng.integers(0, 256, (columns, blocks, block * bits // 8)).astype(np.uint8))
    draw.constant("s", (draw.rng.random((columns, blocks)) + 0.1).astype(np.float32))
    draw.constant("z", draw.rng.integers(0, 256, (columns, blocks * bits // 8)).astype(np.uint8))
    draw.constant("bias", draw.rng.random(columns).astype(np.float32))
    draw.constant("order", np.zeros(block * blocks, np.int32))
    for name in ("z", "bias"):
        if draw.flag():
            draw.omit(name)
    draw.omit("order")
    for name, value in (("k", block * blocks), ("n", columns), ("block", block), ("bits", bits)):
        draw.attribute(name, value)
    draw.attribute("attrs", {})
    draw.result("y", "N", 3, columns)


def _draw_ordered(draw: Draw) -> None:
    _draw(draw)
    draw.missing.discard("order")


RULES = (
    Rule(
        "product",
        before="""
            y = com.microsoft.MatMulNBits <K = @k, N = @n, block_size = @block, bits = @bits, **attrs>
                (x, w, s, z?, order?, bias?)
        """,
        after=_spelled,
        guard=_refuses,
        min_opset=21,
        exact=False,
        dtypes=(ir.DataType.FLOAT,),
        draw=_draw,
        refusals=(Refusal(_draw_ordered, because="another order"),),
    ),
)


@dataclass(frozen=True)
class SpellBlockProducts(Pass):
    """Write MatMulNBits as MatMul of a weight that is dequantised in blocks.

    Less their zero points, which default to the middle, 4 bits mostly stay 4 bits; where they do not,
    8 bits hold them.

    Before: ``y = com.microsoft.MatMulNBits<K=k, N=n, block_size=b>(x, w, s)``.
    After:  ``y = MatMul(x, DequantizeLinear<axis=0, block_size=b>(w', s'))`` with w' of k by n.
    Needs:  a constant weight in whole blocks of 4 or 8 bits.
    Keeps:  4 or 8 bits for each element; the scales.
    Skips:  rows in another order.
    """

    backend: ClassVar[str] = "tensorrt"

    def run(self, model: ir.Model, ctx: PassContext) -> bool:
        """Apply the rule everywhere."""
        return apply(model, RULES, self.name(), ctx)
