"""Split a serialised ONNX model into a small skeleton and the weights that stay where they are.

Protobuf would copy every weight at least once and refuses more than 2 GB. The wire format is simple
enough to walk: a message is a row of fields, each a varint tag (number << 3 | wire type) and a payload.
The walk descends only into messages that are large, and replaces each large ``raw_data`` by an external
data entry that points back into the same buffer, so protobuf only ever parses the skeleton.

Format: https://protobuf.dev/programming-guides/encoding and onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

from graphopt.errors import ModelError

Buffer = bytes | mmap.mmap

INLINE_LOCATION = "graphopt:inline"
"""The ``location`` of a weight that lies in the model file itself."""

STAY_INLINE_BELOW = 1024
"""Payloads smaller than this many bytes stay in the skeleton: shape inference wants to read them."""

MAX_SUBGRAPH_DEPTH = 24
"""Deeper nesting of If, Loop and Scan is refused: protobuf's own parser stops at 100 messages."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

_CHILDREN: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto"},
    "FunctionProto": {7: "NodeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto"},
}
_MODEL_FIELDS = {1: _VARINT, 2: 2, 3: 2, 4: 2, 5: _VARINT, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
# Packed little-endian floats and doubles have the same bytes as raw_data: field → the data type it needs.
_FLAT_FIELDS = {4: 1, 10: 11}
_DATA_TYPE, _RAW_DATA, _EXTERNAL, _LOCATION = 2, 9, 13, 14


@dataclass(frozen=True)
class Field:
    """One field of a message: its number, wire type, and where it and its payload lie."""

    number: int
    wire_type: int
    start: int
    value: int
    end: int


def split(buffer: Buffer, source: str) -> bytes:
    """The model without its large weights, which become references into ``buffer``.

    Args:
        buffer: a serialised ModelProto of any size.
        source: what to call it in messages.

    Returns:
        A serialised ModelProto whose large tensors have ``external_data`` with the location
        ``INLINE_LOCATION`` and an offset and length in ``buffer``.

    Raises:
        ModelError: the bytes are not a ModelProto, or they end in the middle of one.
    """
    for field in _fields(buffer, 0, len(buffer), source):
        if _MODEL_FIELDS.get(field.number) != field.wire_type:
            raise ModelError(f"{source} is not an ONNX model", "pass a file written by an ONNX exporter")
        break  # One look suffices to tell another format; protobuf judges the rest.
    chunks = _slim(buffer, 0, len(buffer), "ModelProto", source, 0)
    return b"".join(chunks)


def _slim(buffer: Buffer, start: int, end: int, kind: str, source: str, depth: int) -> list[bytes]:
    """The message in ``buffer[start:end]`` as chunks, its large tensors replaced by references."""
    if depth > MAX_SUBGRAPH_DEPTH:
        raise ModelError(
            f"{source} nests subgraphs deeper than {MAX_SUBGRAPH_DEPTH} levels",
            "flatten the nested If, Loop or Scan",
        )
    if kind == "TensorProto":
        return _slim_tensor(buffer, start, end, source)
    children = _CHILDREN[kind]
    chunks: list[bytes] = []
    copied = start
    for field in _fields(buffer, start, end, source):
        child = children.get(field.number) if field.wire_type == _LENGTH else None
        if child is None or field.end - field.value < STAY_INLINE_BELOW:
            continue
        inner = depth + 1 if child == "GraphProto" else depth
        body = _slim(buffer, field.value, field.end, child, source, inner)
        chunks.append(buffer[copied : field.start])
        chunks.append(_tag(field.number, _LENGTH) + _varint(sum(map(len, body))))
        chunks.extend(body)
        copied = field.end
    chunks.append(buffer[copied:end])
    return chunks


def _slim_tensor(buffer: Buffer, start: int, end: int, source: str) -> list[bytes]:
    fields = list(_fields(buffer, start, end, source))
    payload = _payload(buffer, fields, source)
    if payload is None or payload.end - payload.value < STAY_INLINE_BELOW:
        return [buffer[start:end]]
    entries = (
        ("location", INLINE_LOCATION),
        ("offset", payload.value),
        ("length", payload.end - payload.value),
    )
    reference = b"".join(
        _length_delimited(
            _EXTERNAL, _length_delimited(1, key.encode()) + _length_delimited(2, str(v).encode())
        )
        for key, v in entries
    )
    location = _tag(_LOCATION, _VARINT) + _varint(1)
    return [buffer[start : payload.start], buffer[payload.end : end], reference, location]


def _payload(buffer: Buffer, fields: list[Field], source: str) -> Field | None:
    """The one field that holds all of a tensor's data as flat bytes, if there is exactly one."""
    data = [f for f in fields if f.number in (4, 5, 6, 7, _RAW_DATA, 10, 11)]
    if len(data) != 1 or data[0].wire_type != _LENGTH or any(f.number in (_EXTERNAL, 3) for f in fields):
        return None
    needed = _FLAT_FIELDS.get(data[0].number)
    if data[0].number == _RAW_DATA:
        return data[0]
    types = [f for f in fields if f.number == _DATA_TYPE and f.wire_type == _VARINT]
    if (
        needed is None
        or not types
        or _read_varint(buffer, types[-1].value, types[-1].end, source)[0] != needed
    ):
        return None
    return data[0]


def _fields(buffer: Buffer, start: int, end: int, source: str) -> Iterator[Field]:
    """The fields of the message in ``buffer[start:end]``; ModelError when it does not add up."""
    pos = start
    while pos < end:
        tag, value = _read_varint(buffer, pos, end, source)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise _damaged(source, pos)
        if wire_type == _LENGTH:
            length, value = _read_varint(buffer, value, end, source)
            stop = value + length
        elif wire_type == _VARINT:
            stop = _read_varint(buffer, value, end, source)[1]
        elif wire_type == _FIXED32:
            stop = value + 4
        elif wire_type == _FIXED64:
            stop = value + 8
        else:  # 3 and 4 are groups, gone since proto2; 6 and 7 were never anything.
            raise _damaged(source, pos)
        if stop > end:
            raise ModelError(
                f"{source} is cut off or damaged: the field at byte {pos} needs {stop - value} bytes, "
                f"{end - value} are left",
                "fetch or export the file again",
            )
        yield Field(number, wire_type, pos, value, stop)
        pos = stop


def _read_varint(buffer: Buffer, pos: int, end: int, source: str) -> tuple[int, int]:
    """The varint at ``pos`` and the position after it."""
    result = shift = 0
    while pos < end and shift < 70:
        byte = buffer[pos]
        pos += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, pos
        shift += 7
    raise _damaged(source, pos)


def _damaged(source: str, pos: int) -> ModelError:
    return ModelError(f"{source} is not an ONNX model, or damaged at byte {pos}", "fetch or export it again")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _length_delimited(number: int, payload: bytes) -> bytes:
    return _tag(number, _LENGTH) + _varint(len(payload)) + payload
