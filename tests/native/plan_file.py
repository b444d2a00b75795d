"""Writes plan files of a few steps, for tests of what runs them."""

from __future__ import annotations

import struct

DTYPES = {"float32": (2, 32), "int64": (0, 64), "bool": (6, 8), "bfloat16": (4, 16), "uint8": (1, 8)}
ANY = -1


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def numbers(code: str, values: list[int]) -> bytes:
    return struct.pack(f"<I{len(values)}{code}", len(values), *values)


class PlanFile:
    """Writes plans of a few steps."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.inputs: list[int] = []
        self.steps: list[bytes] = []
        self.symbols = ["N"]

    def value(self, name: str, dtype: str, kind: int = 0, payload: bytes = b"") -> int:
        self.values.append(text(name) + struct.pack("<4B", *DTYPES[dtype], kind, 0) + payload)
        return len(self.values) - 1

    def input(self, name: str, dtype: str, dims: list[int]) -> int:
        shape = struct.pack(f"<i{len(dims)}q", len(dims), *dims)
        self.inputs.append(self.value(name, dtype, 1, shape))
        return self.inputs[-1]

    def output(self, name: str, dtype: str, dims: list[int]) -> int:
        """A value whose shape the model declares."""
        return self.value(name, dtype, 4, struct.pack(f"<i{len(dims)}q", len(dims), *dims))

    def weight(self, name: str, size: int) -> int:
        return self.value(name, "float32", 2, struct.pack("<iqBQQ", 1, size, 1, 0, 4 * size))

    def step(self, op: str, inputs: list[int], outputs: list[int], axis: int | None = None) -> None:
        attributes = [] if axis is None else [text("axis") + b"\1" + struct.pack("<q", axis)]
        body = struct.pack("<I", len(attributes)) + b"".join(attributes) + struct.pack("<I", 0)
        self.steps.append(text(f"the {op}") + text(op) + numbers("i", inputs) + numbers("i", outputs) + body)

    def write(self, outputs: list[int], *, isa: int = 0, arch: int = 0) -> bytes:
        parts = [b"GOPTPLAN", struct.pack("<4I", 2, arch, isa, 0)]
        parts += [struct.pack("<I", len(self.values)), *self.values]
        parts += [struct.pack("<I", len(self.symbols)), *map(text, self.symbols)]
        parts += [numbers("I", self.inputs), numbers("I", outputs), struct.pack("<I", len(self.steps))]
        return b"".join(parts + self.steps)
