"""Build one engine, in this process. Imports no compiler room."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.backends.tensorrt.architectures import gpus_here
from graphopt.backends.tensorrt.building.config import configure
from graphopt.backends.tensorrt.building.parse import Parsing, check_outputs, describe, parse
from graphopt.backends.tensorrt.building.request import BuildRefused, BuildReply, BuildRequest
from graphopt.backends.tensorrt.building.timing_cache import TimingCache
from graphopt.backends.tensorrt.logger import ERROR, readable
from graphopt.backends.tensorrt.module import Library, find_library

if TYPE_CHECKING:
    from graphopt.backends.tensorrt import api

_ABOUT_PROFILE = re.compile(r"\bprofile\b", re.IGNORECASE)
"""What TensorRT says when a network does not go with the ranges of shapes, whichever node it is at."""


def build(request: BuildRequest) -> BuildReply:
    """Parse a model, build its engine, write the plan.

    Raises:
        BuildRefused: TensorRT does not take the model.
        BackendError, TargetError, UsageError: TensorRT is not there, or the options are not for it.
    """
    library = find_library(request.library)
    parsing = parse(library, request.model)
    check_outputs(parsing, request.outputs)
    if not request.plan:
        return BuildReply(notes=parsing.log.notes())
    config = configure(library, parsing, request.architectures, request.options)
    notes: tuple[str, ...] = ()
    timings = None
    if request.options.timing_cache is not None:
        timings = TimingCache.for_library(library, request.options.timing_cache)
        notes = timings.use(config)
    plan = _build_plan(parsing, config, request)
    if timings is not None:
        timings.keep(config)
    Path(request.plan).write_bytes(memoryview(plan))
    return BuildReply(_facts(library, parsing, config, request), (*notes, *parsing.log.notes()))


def _build_plan(parsing: Parsing, config: api.Config, request: BuildRequest) -> api.HostMemory:
    try:
        plan = parsing.builder.build_serialized_network(parsing.network, config)
    except Exception as error:
        raise BuildRefused(readable(str(error)), "build") from error
    if plan is None:
        said = [readable(text) for text in parsing.log.texts(ERROR)]
        message = next(filter(None, said), "no reason given")
        if (allowed := request.options.workspace_bytes) is not None and "within workspace limit" in message:
            said_plainly = f"no kernel manages with the {allowed:,} bytes of scratch memory allowed"
            raise BuildRefused(said_plainly, "options")
        raise BuildRefused(message, "options" if _ABOUT_PROFILE.search(message) else "build")
    return plan


def _facts(library: Library, parsing: Parsing, config: api.Config, request: BuildRequest) -> dict[str, Any]:
    """What is known of an engine, read back from TensorRT where it can say."""
    trt, network, log, options = library.api, parsing.network, parsing.log, request.options
    tf32 = getattr(trt.BuilderFlag, "TF32", None)
    return {
        "module": library.name,
        "version": library.version,
        "architectures": list(request.architectures),
        "device": next((gpu.name for gpu in gpus_here()), "") if library.name == "tensorrt" else "",
        "hardware_compatible": options.hardware_compatible,
        "version_compatible": bool(config.get_flag(trt.BuilderFlag.VERSION_COMPATIBLE)),
        "profiles": [
            {
                name: {"least": list(s.least), "usual": list(s.usual), "most": list(s.most)}
                for name, s in profile.items()
            }
            for profile in options.profiles
        ],
        "workspace_bytes": (
            None
            if options.workspace_bytes is None
            else int(config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE))
        ),
        "builder_level": int(config.builder_optimization_level),
        "tf32": tf32 is not None and bool(config.get_flag(tf32)),
        "inputs": [describe(network.get_input(index)) for index in range(network.num_inputs)],
        "outputs": [describe(network.get_output(index)) for index in range(network.num_outputs)],
        "layers": int(network.num_layers),
        "scratch_bytes": log.number(r"Max Scratch Memory: (\d+) bytes") or 0,
        "activation_bytes": log.number(r"Total Activation Memory: (\d+) bytes") or 0,
        "target_capabilities": log.number(r"Number of target compute capabilities: (\d+)") or 0,
        "weight_bytes": log.number(r"Total Weights Memory: (\d+) bytes") or 0,
    }
