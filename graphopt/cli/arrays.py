"""Arrays typed on the command line: ``name=value``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from graphopt.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = dict[str, npt.NDArray[np.generic]]


def parse_constants(texts: Iterable[str]) -> Arrays:
    """``sr=16000``, ``scale=0.5``, ``flag=true``, ``ids=[1,2,3]`` → arrays; raises UsageError."""
    import numpy as np

    arrays: Arrays = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name:
            raise UsageError(f"--const {text} is not NAME=VALUE", "for example --const sr=16000")
        try:
            array = np.asarray(json.loads(value.strip().lower()))
        except ValueError:
            array = np.asarray(None)
        if array.dtype.kind not in "ifb":
            raise UsageError(
                f"--const {name}: {value} is no number or array of numbers", "like 16000 or [1,2,3]"
            )
        arrays[name] = array
    return arrays
