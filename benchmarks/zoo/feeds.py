"""Random but valid inputs for a model of the zoo."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.zoo.catalog import ENTRIES
from benchmarks.zoo.entry import Entry, Feed


def feeds(name: str, seed: int = 0) -> dict[str, npt.NDArray[np.generic]]:
    """One array per input of model ``name``, reproducible from ``seed``; raises KeyError for others."""
    return feeds_of(ENTRIES[name], seed)


def feeds_of(entry: Entry, seed: int = 0) -> dict[str, npt.NDArray[np.generic]]:
    """One array per input of a model, as its record says."""
    rng = np.random.default_rng(seed)
    return {feed.name: _array(feed, rng) for feed in entry.feeds}


def _array(feed: Feed, rng: np.random.Generator) -> npt.NDArray[np.generic]:
    match feed.kind:
        case "normal":
            values = rng.normal(feed.a, feed.b, feed.shape)
        case "uniform":
            values = rng.uniform(feed.a, feed.b, feed.shape)
        case "randint":
            return rng.integers(int(feed.a), int(feed.b), feed.shape).astype(feed.dtype)
        case "const":
            values = np.full(feed.shape, feed.a)
    return np.asarray(values).astype(feed.dtype)
