"""The newest file format the installed ONNX Runtime reads.

Libraries write the newest IR version they know, needed or not, and ONNX Runtime refuses by the number
alone. A model that does use something newer is refused for that, by name.
"""

from __future__ import annotations

import re
from functools import cache

import onnx_ir as ir

from graphopt.backends.onnxruntime.session import new_options, open_session
from graphopt.errors import BackendError

_BEYOND_ANY = 1 << 20


@cache
def newest_ir_version() -> int | None:
    """The highest IR version ONNX Runtime accepts, which it only says when refusing; None when unknown."""
    graph = ir.Graph((), (), nodes=(), opset_imports={"": 13}, name="probe")
    probe = ir.to_proto(ir.Model(graph, ir_version=_BEYOND_ANY)).SerializeToString()
    try:
        open_session(probe, new_options(threads=1, optimise=False))
    except BackendError as refusal:
        found = re.search(r"max supported IR version: (\d+)", refusal.message)
        return int(found[1]) if found else None
    return None


def ir_version_for_onnxruntime(model: ir.Model) -> int:
    """The model's IR version, or the newest ONNX Runtime reads if that is lower."""
    newest = newest_ir_version()
    return model.ir_version if newest is None else min(model.ir_version, newest)
