"""What Conv, ConvTranspose, Gemm and MatMul absorb in front of them: factors and shifts of their input."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.passes.linear._absorb import ReadAffine, accepted, bias_miss, read, spelled, weight_miss
from graphopt.passes.linear._factors import Array, Vector, along, rounded
from graphopt.passes.linear._hosts import Host
from graphopt.rewrite.match import Match
from graphopt.rewrite.replacement import Replacement
from graphopt.rewrite.rule import Guard, RightSide


def factor_of(match: Match, found: Host, name: str) -> Vector | None:
    """The constant ``name`` as a factor or shift of the input channels of ``found``, or None.

    x must have those channels itself: a constant that brings them in by broadcasting is none.
    """
    shape, axis = match.shape("x"), _channel_axis(found)
    if shape is None or len(shape) < -axis:
        return None
    vector = along(match.value(name), axis, len(shape))
    if vector is None or vector.size == 1:
        return vector
    return vector if vector.size == found.inputs == shape[axis] else None


def _channel_axis(found: Host) -> int:
    """Where the input channels are, counted from the end."""
    if found.op in ("Conv", "ConvTranspose"):
        return 1 - len(found.dims)
    return -2 if found.op == "Gemm" and found.node.attributes.get_int("transA", 0) != 0 else -1


def is_unpadded(node: ir.Node) -> bool:
    """Whether every output element of a Conv reads real input alone; true of products."""
    if node.op_type == "ConvTranspose":
        return False
    automatic = node.attributes.get_string("auto_pad", "NOTSET")
    if automatic == "VALID":
        return True
    return automatic == "NOTSET" and not any(node.attributes.get_ints("pads", ()))


def guard(affine: ReadAffine) -> Guard:
    """A guard: the affine step that ``affine`` reads can go into the constants of the linear node."""

    def check(match: Match) -> str | None:
        taken = read(match, affine)
        if not isinstance(taken, tuple):
            return taken
        found, (factor, shift) = taken
        if shift is not None and not is_unpadded(found.node):
            return f"{found.op} pads with zeros, which the shift does not reach"
        scaled = None if factor is None else found.scaled_inputs(factor)
        return weight_miss(found, scaled) or bias_miss(found, _bias(match, found, shift))

    return check


def absorb(affine: ReadAffine) -> RightSide:
    """A right side: the linear node reads x, the affine step is in its constants."""

    def replace(match: Match) -> Replacement:
        found, (factor, shift) = accepted(match, affine)
        constants: dict[str, Array] = {}
        if factor is not None:
            constants["w"] = rounded(found.scaled_inputs(factor), found.dtype)
        if shift is None:
            return Replacement(f"y = {found.op} <**attrs> (x, w{', b' * ('b' in match)})", constants)
        return spelled(found, _bias(match, found, shift), constants)

    return replace


def _bias(match: Match, found: Host, shift: Vector | None) -> Vector | None:
    """The bias that ``shift`` of the input makes of the one there is; None without a shift."""
    if shift is None:
        return None
    old = found.factor_of(match.value("b")) if found.op == "MatMul" and "b" in match else found.bias_vector()
    assert old is not None, "the guard asked for it"
    weight = found.scaled_inputs(np.broadcast_to(shift, (found.inputs,)))
    with np.errstate(all="ignore"):
        total: Vector = weight.sum(axis=found.summed) * found.attributes.get("alpha", 1.0)
        return total.reshape(-1) + old
