"""The engines inside an artifact, and what a host must have to run them: data and terminal tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from graphopt.report import words


@dataclass(frozen=True)
class EngineRow:
    """One engine.

    Attributes:
        file: inside the artifact.
        size: of that file in bytes.
        built_by: "TensorRT-RTX 1.7.1.116".
        architectures: of the GPUs it runs on: "sm_86", …; ``also`` other cards and versions that run it.
        built_on: the card it was tuned on, empty where none was needed.
        inputs: ``name: type[dims]`` each; ``outputs`` likewise.
        profiles: input → "least, usual, most", one mapping per optimisation profile.
        memory: bytes of GPU memory for weights and activations, as the builder reckoned; 0 unknown.
        layers: of the network.
        options: what else it was built with, in words.
        notes: warnings of the builder.
        key: the digest of everything above; ``fault`` why the engine does not fit it, empty when it does.
    """

    file: str
    size: int
    built_by: str
    architectures: tuple[str, ...]
    also: tuple[str, ...]
    built_on: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    profiles: tuple[Mapping[str, str], ...]
    memory: int
    layers: int
    options: tuple[str, ...]
    notes: tuple[str, ...]
    key: str
    fault: str = ""


@dataclass(frozen=True)
class Need:
    """One thing a host must have to run the artifact's engines.

    Attributes:
        what: it is, with the version where that matters.
        here: whether this machine has it.
        reason: why not, or what was found.
        fix: the command that mends it.
    """

    what: str
    here: bool
    reason: str = ""
    fix: str = ""


def render_engines(engines: Sequence[EngineRow], needs: Sequence[Need]) -> Iterator[RenderableType]:
    """Parts to print: a table per engine, then what a host needs."""
    for engine in engines:
        yield Text(" ")
        table = _facts(engine.file)
        for name, value in _engine_facts(engine):
            table.add_row(Text(name), Text(words.printable(value)))
        yield table
    if needs:
        yield Text("\nTo run it a host needs", style="dim")
        for need in needs:
            yield Text(words.printable(_need(need)))


def _need(need: Need) -> str:
    reason = f" ({need.reason})" if need.reason else ""
    fix = f"; fix: {need.fix}" if need.fix else ""
    return f"{need.what}: {'here' if need.here else 'not here'}{reason}{fix}"


def _facts(title: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("engine", style="dim", no_wrap=True)
    table.add_column(Text(words.printable(title)), overflow="fold")
    return table


def _engine_facts(engine: EngineRow) -> Iterator[tuple[str, str]]:
    if engine.fault:
        yield "damaged", engine.fault
    yield "built by", engine.built_by
    yield "runs on", "; ".join((", ".join(engine.architectures), *engine.also))
    if engine.built_on:
        yield "tuned on", engine.built_on
    for title, values in (("inputs", engine.inputs), ("outputs", engine.outputs)):
        for index, text in enumerate(values):
            yield title if index == 0 else "", text
    for number, profile in enumerate(engine.profiles, start=1):
        title = "profile" if len(engine.profiles) == 1 else f"profile {number}"
        for index, (name, text) in enumerate(profile.items()):
            yield title if index == 0 else "", f"{name}: {text}"
    yield "size", f"{words.size(engine.size)}, {engine.layers} layers"
    if engine.memory:
        yield "GPU memory", f"about {words.size(engine.memory)}"
    if engine.options:
        yield "built with", ", ".join(engine.options)
    for index, note in enumerate(engine.notes):
        yield "notes" if index == 0 else "", note
    if not engine.fault:
        yield "key", f"{engine.key[:16]}, fits the engine"
