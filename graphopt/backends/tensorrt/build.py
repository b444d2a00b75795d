"""From a parsed network and a person's options to a plan."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphopt.backends.base import RegionRefused
from graphopt.backends.engine_options import EngineOptions
from graphopt.backends.tensorrt.module import Library
from graphopt.backends.tensorrt.parse import Parsing, parse, readable


@dataclass(frozen=True)
class Plan:
    """A built engine.

    Attributes:
        data: the serialised engine.
        options: what ``load`` must know of it, as plain JSON.
    """

    data: bytes
    options: dict[str, object]


def build_plan(library: Library, data: bytes, architectures: Sequence[str], options: EngineOptions) -> Plan:
    """Build one engine for all the architectures.

    Args:
        library: that builds for them.
        data: the legalised region as ONNX.
        architectures: ("sm_86", …).
        options: of the engine.

    Raises:
        RegionRefused: TensorRT does not take the region.
    """
    parsing = parse(library, data)
    config = _config(library, parsing, architectures, options)
    plan = parsing.builder.build_serialized_network(parsing.network, config)
    if plan is None:
        said = next(iter(parsing.log.texts("error")), "no reason given")
        raise RegionRefused(f"{library.title} does not build the region: {readable(said)}")
    payload = bytes(plan)
    return Plan(payload, _facts(library, parsing, data, architectures, options))


def _config(library: Library, parsing: Parsing, architectures: Sequence[str], options: EngineOptions) -> Any:
    api = library.api
    config = parsing.builder.create_builder_config()
    if hasattr(config, "num_compute_capabilities"):
        config.num_compute_capabilities = len(architectures)
        for index, name in enumerate(architectures):
            capability = getattr(api.ComputeCapability, name.replace("sm_", "SM"))
            config.set_compute_capability(capability, index)
    if not options.tf32:
        config.clear_flag(api.BuilderFlag.TF32)
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    config.builder_optimization_level = options.builder_level
    for ranges in options.profiles:
        profile = parsing.builder.create_optimization_profile()
        for name, shapes in ranges.items():
            profile.set_shape(name, shapes.least, shapes.usual, shapes.most)
        config.add_optimization_profile(profile)
    return config


def _facts(
    library: Library,
    parsing: Parsing,
    data: bytes,
    architectures: Sequence[str],
    options: EngineOptions,
) -> dict[str, object]:
    network, log = parsing.network, parsing.log
    scratch, weights = (
        log.find(r"Max Scratch Memory: (\d+) bytes"),
        log.find(r"Total Weights Memory: (\d+) bytes"),
    )
    facts: dict[str, object] = {
        "module": library.name,
        "version": library.version,
        "architectures": list(architectures),
        "hardware_compatible": options.hardware_compatible,
        "version_compatible": options.version_compatible,
        "profiles": [
            {
                name: {"least": list(s.least), "usual": list(s.usual), "most": list(s.most)}
                for name, s in profile.items()
            }
            for profile in options.profiles
        ],
        "workspace_bytes": options.workspace_bytes,
        "builder_level": options.builder_level,
        "tf32": options.tf32,
        "inputs": [_tensor(network.get_input(i)) for i in range(network.num_inputs)],
        "outputs": [_tensor(network.get_output(i)) for i in range(network.num_outputs)],
        "layers": network.num_layers,
        "scratch_bytes": int(scratch[1]) if scratch else 0,
        "weight_bytes": int(weights[1]) if weights else 0,
    }
    return facts | {"key": hashlib.sha256(data).hexdigest()}


def _tensor(tensor: Any) -> dict[str, object]:
    names = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "FP8": "float8e4m3fn"}
    dtype = str(tensor.dtype.name)
    return {"name": tensor.name, "dtype": names.get(dtype, dtype.lower()), "shape": list(tensor.shape)}
