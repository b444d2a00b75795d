"""What is measured: models of the zoo as they are fed, and the variants that a claim is made about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.zoo.catalog import ENTRIES, SETS
from benchmarks.zoo.entry import Entry
from benchmarks.zoo.feeds import feeds, feeds_of
from benchmarks.zoo.fetch import fetch
from benchmarks.zoo.seeded import write_seeded

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Workload:
    """One row of the benchmark.

    Attributes:
        name: of the row.
        model: of the zoo.
        dims: input → other extents than the zoo's.
        constants: inputs that graphopt is told the value of when compiling; the peers are fed it.
        seeded: the weights are drawn anew, He-normal.
    """

    name: str
    model: str
    dims: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    seeded: bool = False

    @property
    def entry(self) -> Entry:
        """The zoo's record of the model."""
        return ENTRIES[self.model]

    @property
    def is_float32(self) -> bool:
        """Whether the model computes in float32 throughout."""
        return self.entry.precision == "fp32"

    def feeds(self, seed: int = 0) -> dict[str, Array]:
        """One array per input of the model as it came."""
        entry = self.entry
        resized = tuple(replace(feed, shape=self.dims.get(feed.name, feed.shape)) for feed in entry.feeds)
        return feeds_of(replace(entry, feeds=resized), seed)

    def file(self, scratch: Path) -> Path:
        """The model's file; raises FetchError when it cannot be had."""
        path = fetch(self.model)
        if not self.seeded:
            return path
        target = scratch / f"{self.name}.onnx"
        write_seeded(path, target)
        return target

    def compile_options(self) -> dict[str, Any]:
        """What graphopt is told besides the model."""
        dtypes = {feed.name: feed.dtype for feed in self.entry.feeds}
        values = {name: np.asarray(value, dtypes[name]) for name, value in self.constants.items()}
        return {"constants": values} if values else {}


FROZEN: dict[str, Mapping[str, float]] = {"silero_vad": {"sr": 16000}}
"""Model → inputs that decide which branch runs, and so which network there is to build."""

VARIANTS: tuple[Workload, ...] = (
    Workload("silero_vad_16k", "silero_vad", constants=FROZEN["silero_vad"]),
    Workload("bert_minilm_l3_128", "bert_minilm_l3", {"input_ids": (1, 128), "attention_mask": (1, 128)}),
    Workload("resnet50_he", "light_resnet50", seeded=True),
)
"""Besides the models themselves."""

WORKLOADS: dict[str, Workload] = {
    **{name: Workload(name, name) for name in ENTRIES},
    **{workload.name: workload for workload in VARIANTS},
}

GROUPS: dict[str, tuple[str, ...]] = {
    **SETS,
    "variants": tuple(workload.name for workload in VARIANTS),
    "default": (*SETS["shared"], *(workload.name for workload in VARIANTS)),
}
"""Names that stand for several."""


def expand_workloads(names: list[str]) -> list[str]:
    """Groups replaced by their members, each workload once; raises KeyError for an unknown name."""
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(GROUPS.get(name, (name,))))
    for name in found:
        WORKLOADS[name]
    return list(found)


def frozen(name: str) -> tuple[str, ...]:
    """What is frozen of a zoo model of which engines are built, as ``--const`` takes it."""
    return tuple(f"{key}={value}" for key, value in FROZEN.get(name, {}).items())


def sample(name: str, seed: int = 0) -> dict[str, Array]:
    """Feeds of a zoo model without the inputs that ``frozen`` gives."""
    return {key: array for key, array in feeds(name, seed).items() if key not in FROZEN.get(name, {})}
