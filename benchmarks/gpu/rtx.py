"""Does TensorRT-RTX run engines on this card? Its list says what it builds for; the card decides."""

from __future__ import annotations

import tempfile
from pathlib import Path

from graphopt.errors import GraphoptError

_TINY = '<ir_version: 10, opset_import: ["" : 21]> tiny (float[256] x) => (float[256] y) { y = Add(x, x) }'


def rtx_answer() -> str:
    """What came of opening one small engine on GPU 0: "runs", or the reason in TensorRT-RTX's own words."""
    try:
        return _try()
    except GraphoptError as error:
        return error.message


def _try() -> str:
    import onnx.parser

    from graphopt.backends.cuda.device import open_device
    from graphopt.backends.engine_options import EngineOptions
    from graphopt.backends.tensorrt.architectures import builds_for
    from graphopt.backends.tensorrt.building.engine import build
    from graphopt.backends.tensorrt.building.request import BuildRefused, BuildRequest
    from graphopt.backends.tensorrt.logger import first_error, log_of
    from graphopt.backends.tensorrt.module import find_library

    device, library = open_device(), find_library("tensorrt_rtx")
    known = builds_for(library)
    # Where the card is not on the list: the nearest before it, whose code a later card might run.
    earlier = [name for name in known if int(name[3:]) <= int(device.architecture[3:])]
    chosen = device.architecture if device.architecture in known else (earlier or list(known))[-1]
    with tempfile.TemporaryDirectory(prefix="graphopt-bench-") as folder:
        model, plan = Path(folder) / "tiny.onnx", Path(folder) / "tiny.plan"
        model.write_bytes(onnx.parser.parse_model(_TINY).SerializeToString())
        try:
            build(BuildRequest(library.name, str(model), str(plan), (chosen,), EngineOptions()))
        except BuildRefused as refused:
            return f"does not build for {chosen}: {refused.message}"
        data = plan.read_bytes()
    log = log_of(library)
    mark = len(log.lines)
    with device.active():
        engine = library.api.Runtime(log.handle).deserialize_cuda_engine(data)
        opened = engine is not None and engine.create_execution_context() is not None
    words = "runs" if opened else f"refuses: {first_error(log, mark) or 'no reason given'}"
    return f"{library.title}, engine for {chosen} on {device}: {words}"
