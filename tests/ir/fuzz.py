"""Feeds damaged models to the importer; run in a process of its own, so that a crash is seen as one.

``python -m tests.ir.fuzz bytes|structure EXAMPLES [SEED]`` exits 0 when every model was imported (and then
also canonicalised, verified and written) or refused with a one-line ModelError. The case at hand is kept
in ``case.onnx`` in the working folder.
"""

from __future__ import annotations

import logging
import random
import sys
import traceback
from pathlib import Path

import onnx
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from graphopt.errors import GraphoptError, ModelError
from graphopt.ir.levels import Level
from graphopt.ir.load import load_model
from graphopt.ir.save import to_bytes
from graphopt.ir.verify import verify
from graphopt.passes.canonical import CANONICAL_PASSES
from graphopt.pipeline.context import PassContext
from tests.ir.samples import all_samples

SAMPLES = [model.SerializeToString() for model in all_samples()]
CASE = Path("case.onnx")


def survive(data: bytes) -> None:
    """Import what can be imported and canonicalise it; anything but a clean error raises."""
    CASE.write_bytes(data)
    try:
        model = load_model(data)
        context = PassContext()
        for cls in CANONICAL_PASSES:
            cls().run(model, context)
        verify(model, Level.CANONICAL)
        load_model(to_bytes(model))
    except ModelError as error:
        if "\n" in str(error) or len(str(error)) > 2000:
            raise AssertionError(f"not a line: {error}") from error
    except GraphoptError as error:
        raise AssertionError(f"not a ModelError: {error!r}") from error


@st.composite
def damaged_bytes(draw: st.DrawFn) -> bytes:
    """A sample with bytes replaced, removed, inserted or repeated, or its end cut off."""
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 6))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(("set", "flip", "delete", "insert", "copy", "cut")))
        if kind == "set":
            data[at] = draw(st.integers(0, 255))
        elif kind == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "delete":
            del data[at : at + draw(st.integers(1, 8))]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "copy":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        elif draw(st.integers(0, 9)) == 0:
            del data[at:]
    return bytes(data)


def damaged_structure(random_seed: int) -> bytes:
    """A sample with fields swapped, dropped, repeated or given absurd values, still well-formed protobuf."""
    rng = random.Random(random_seed)
    model = onnx.ModelProto.FromString(rng.choice(SAMPLES))
    messages = list(_messages(model))
    for _ in range(rng.randint(1, 4)):
        _damage(rng.choice(messages), rng, messages)
    return model.SerializeToString()


def _messages(message: object) -> list[object]:
    found = [message]
    for field, value in message.ListFields():  # type: ignore[attr-defined]
        if field.message_type is not None:
            for child in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
                found.extend(_messages(child))
    return found


_NUMBERS = (0, 1, -1, 2, 7, 16, 255, -(2**31), 2**31 - 1, 2**62, 2**63 - 1, -(2**63))


def _damage(message: object, rng: random.Random, messages: list[object]) -> None:
    fields = message.ListFields()  # type: ignore[attr-defined]
    if not fields:
        return
    field, value = rng.choice(fields)
    repeated = hasattr(value, "append") or hasattr(value, "add")
    action = rng.choice(("clear", "change", "change", "repeat", "swap", "shuffle"))
    try:
        if action == "clear":
            message.ClearField(field.name)  # type: ignore[attr-defined]
        elif repeated and action in ("repeat", "shuffle", "swap") and len(value):
            at = rng.randrange(len(value))
            if action == "repeat":
                copy = value[at]
                value.add().CopyFrom(copy) if hasattr(value, "add") else value.append(copy)
            else:
                del value[at]
        elif field.message_type is None:
            _set(message, field, value, repeated, _other(field, rng, messages))
    except (ValueError, TypeError, OverflowError):
        pass  # protobuf itself refuses the value: no such file can exist


def _other(field: object, rng: random.Random, messages: list[object]) -> object:
    """Another value of the field's type, often one that stands elsewhere in the model."""
    kind = field.cpp_type  # type: ignore[attr-defined]
    if kind == field.CPPTYPE_STRING:  # type: ignore[attr-defined]
        texts = [v for m in messages for f, v in m.ListFields() if isinstance(v, str)]  # type: ignore[attr-defined]
        text = rng.choice(
            [*texts, "", "\x00", "x" * 300, "é?", "a\nb", "Softmax", "Resize", "Scan", "ai.onnx", "7"]
        )
        return text.encode() if field.type == field.TYPE_BYTES else text  # type: ignore[attr-defined]
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):  # type: ignore[attr-defined]
        return rng.choice((0.0, -1.0, float("inf"), float("nan"), 1e38))
    return rng.choice((*_NUMBERS, *range(24)))


def _set(message: object, field: object, value: object, repeated: bool, new: object) -> None:
    if repeated:
        value[random.Random(len(value)).randrange(len(value))] = new  # type: ignore[index, arg-type]
    else:
        setattr(message, field.name, new)  # type: ignore[attr-defined]


def main(kind: str, examples: int, random_seed: int = 20240601) -> int:
    """Run one fuzzer; print the first thing that escapes."""
    logging.disable(logging.CRITICAL)
    strategy = damaged_bytes() if kind == "bytes" else st.integers(0, 2**32).map(damaged_structure)

    @seed(random_seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(data: bytes) -> None:
        survive(data)

    try:
        run()
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
