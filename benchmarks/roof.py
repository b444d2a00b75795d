"""The floor of a model's time: its arithmetic over the machine's peak, measured at that moment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def roof(model: Path, feeds: Mapping[str, npt.NDArray[np.generic]], threads: int) -> dict[str, Any]:
    """FLOPs of one inference and the FMA peak of ``threads`` cores.

    Args:
        model: an ONNX file.
        feeds: decide the shapes.
        threads: cores used.

    Returns:
        ``flops``, ``peak`` (per second) and ``uncounted`` (nodes without a formula).
    """
    from graphopt import _kernels
    from graphopt.driver.opt import import_model
    from graphopt.driver.shapes import with_sizes
    from graphopt.ir.analyses.flops import model_flops

    sized = with_sizes(import_model(model), {name: array.shape for name, array in feeds.items()})
    found = model_flops(sized)
    peak = _kernels.measure_peak("float32", threads=threads, seconds=5e-3, samples=11).median
    return {"flops": found.total, "uncounted": found.uncounted, "peak": peak}
