"""What each input means, read off what the graph does with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import onnx_ir as ir

from graphopt.equality.facts import Facts
from graphopt.equality.flow import Flow
from graphopt.equality.gather import gather_facts
from graphopt.equality.signature import Port, inputs
from graphopt.errors import FeedError

Required = tuple[tuple[int, tuple[int, ...]], ...]


class Kind(StrEnum):
    """What the values of an input stand for."""

    INDEX = "index"
    MASK = "mask"
    BIAS = "bias"
    LENGTH = "length"
    CHOICE = "choice"
    INTEGER = "integer"
    BYTES = "bytes"
    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    POSITIVE = "positive"
    STATE = "state"
    REAL = "real"


@dataclass(frozen=True)
class Role:
    """How to make values for one input.

    Attributes:
        port: the input.
        kind: what it means.
        high: INDEX, INTEGER: values lie in [0, high).
        choices: CHOICE: the values that select different branches; the first is used first.
        words: TEXT: the vocabulary.
        peak: IMAGE, AUDIO, REAL: the size of typical values (255 for raw pixels).
        required: (axis, the sizes that the weights it meets allow), several when branches differ.
        channels: IMAGE: the axis of its channels; height and width are the two axes besides it and the batch.
    """

    port: Port
    kind: Kind
    high: int = 0
    choices: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    peak: float = 1.0
    required: Required = ()
    channels: int = 1


_INTEGERS = (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.INT16, ir.DataType.UINT16,
             ir.DataType.UINT32, ir.DataType.UINT64, ir.DataType.INT4, ir.DataType.UINT4)  # fmt: skip
_STATE_NAMES = ("state", "hidden", "past", "cache", "memory", "carry")
_AUDIO_NAMES = ("audio", "wav", "speech", "pcm", "waveform", "signal")
_LENGTH_NAMES = ("length", "_len", "lens", "num_", "count")
_DEFAULT_HIGH = 10
_CHANNELS = (1, 3, 4)
_RANKS = (2, 4, 3, 1, 0)


def roles(model: ir.Model) -> tuple[Role, ...]:
    """The role of every input that must be fed; ``model`` has no local functions.

    Raises:
        FeedError: an input is a sequence, an optional or has no dtype: nothing can be derived.
    """
    flow = Flow(model)
    by_name = {value.name or "": value for value in model.graph.inputs}
    return tuple(_role(port, gather_facts(by_name[port.name], flow)) for port in inputs(model))


def with_ranks(found: tuple[Role, ...]) -> Iterator[tuple[Role, ...]]:
    """The roles, with each likely rank in turn for the inputs that declare none."""
    if all(role.port.dims is not None for role in found):
        yield found
        return
    for rank in _RANKS:
        yield tuple(
            role
            if role.port.dims is not None
            else replace(role, port=replace(role.port, dims=(None,) * rank), kind=_kind_of_rank(role, rank))
            for role in found
        )


def _kind_of_rank(role: Role, rank: int) -> Kind:
    return Kind.IMAGE if rank == 4 and role.kind is Kind.REAL else role.kind


def plain_counts(found: tuple[Role, ...]) -> tuple[Role, ...]:
    """The roles with every integer of no known meaning one: counts of several inputs then agree."""
    return tuple(replace(role, high=2) if role.kind is Kind.INTEGER else role for role in found)


def _role(port: Port, facts: Facts) -> Role:
    if port.kind != "tensor" or port.dtype is None:
        what = f"is a {port.kind}" if port.dtype is not None or port.kind != "tensor" else "declares no dtype"
        raise FeedError(
            f"input '{port.name}' {what}: no values can be derived for it",
            f"--inputs files hold no {port.kind}: from Python pass inputs= and measure=False"
            if port.kind in ("sequence", "optional")
            else "pass --inputs file.npz",
        )
    required = tuple((axis, tuple(sizes)) for axis, sizes in sorted(facts.required.items()))
    if port.dtype == ir.DataType.STRING:
        return Role(port, Kind.TEXT, words=tuple(facts.words), required=required)
    if port.dtype == ir.DataType.BOOL:
        scalar = _is_scalar(port)
        return Role(
            port, Kind.CHOICE if scalar else Kind.MASK, choices=(1, 0) if scalar else (), required=required
        )
    if port.dtype in (ir.DataType.UINT8, ir.DataType.INT8):
        return _byte_role(port, facts, required)
    if port.dtype in _INTEGERS:
        return _integer_role(port, facts, required)
    return _float_role(port, facts, required)


def _is_scalar(port: Port) -> bool:
    return port.dims is not None and all(dim == 1 for dim in port.dims)


def _named(port: Port, words: tuple[str, ...]) -> bool:
    return any(word in port.name.lower() for word in words)


def _byte_role(port: Port, facts: Facts, required: Required) -> Role:
    if _named(port, ("mask",)):
        return Role(port, Kind.MASK, required=required)
    if facts.bound is not None:
        return Role(port, Kind.INDEX, high=min(facts.bound, 127), required=required)
    return Role(port, Kind.BYTES, required=required)


def _integer_role(port: Port, facts: Facts, required: Required) -> Role:
    if _is_scalar(port) and facts.branches and facts.compared:
        return Role(port, Kind.CHOICE, choices=_with_another(facts.compared), required=required)
    if _named(port, ("mask",)):
        return Role(port, Kind.MASK, required=required)
    if facts.bound is not None:
        return Role(port, Kind.INDEX, high=max(facts.bound, 1), required=required)
    if facts.masks:
        return Role(port, Kind.MASK, required=required)
    if facts.lengths or _named(port, _LENGTH_NAMES):
        return Role(port, Kind.LENGTH, required=required)
    return Role(
        port, Kind.INTEGER, high=max([_DEFAULT_HIGH, *(c + 1 for c in facts.compared)]), required=required
    )


def _with_another(compared: list[int]) -> tuple[int, ...]:
    """The constants, and one value that is none of them when only one was compared."""
    if len(compared) > 1:
        return tuple(compared)
    return (compared[0], compared[0] // 2 if compared[0] > 1 else compared[0] + 1)


def _float_role(port: Port, facts: Facts, required: Required) -> Role:
    rank = None if port.dims is None else len(port.dims)
    if _named(port, ("mask",)) or (facts.masks and not facts.pooled_images):
        return Role(port, Kind.BIAS if facts.added else Kind.MASK, required=required)
    if facts.states or _named(port, _STATE_NAMES):
        return Role(port, Kind.STATE, required=required)
    if facts.positive or (rank is not None and rank <= 1):
        return Role(port, Kind.POSITIVE, required=required)
    channels = _channels(port, required)
    if rank == 4 and (facts.pooled_images or _size(port, channels) in _CHANNELS):
        return Role(port, Kind.IMAGE, peak=facts.peak, required=required, channels=channels)
    if facts.signals or _named(port, _AUDIO_NAMES) or _is_long(port):
        return Role(port, Kind.AUDIO, peak=facts.peak, required=required)
    return Role(port, Kind.REAL, peak=facts.peak, required=required)


def _channels(port: Port, required: Required) -> int:
    """The channel axis of an image: last where the weights or the declared sizes say so, else 1."""
    demanded = {axis for axis, _ in required}
    if 1 in demanded or _size(port, 1) in _CHANNELS:
        return 1
    return 3 if 3 in demanded or _size(port, 3) in _CHANNELS else 1


def _size(port: Port, axis: int) -> object:
    return None if port.dims is None or axis >= len(port.dims) else port.dims[axis]


def _is_long(port: Port) -> bool:
    return port.dims is not None and any(isinstance(d, int) and d >= 4000 for d in port.dims)
