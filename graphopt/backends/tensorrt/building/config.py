"""From a person's options to TensorRT's builder configuration. Imports no compiler room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphopt.backends.engine_options import EngineOptions
from graphopt.backends.tensorrt.building.parse import Parsing
from graphopt.backends.tensorrt.building.request import BuildRefused
from graphopt.backends.tensorrt.module import Library
from graphopt.errors import TargetError, UsageError

if TYPE_CHECKING:
    from graphopt.backends.tensorrt import api

_COMPATIBILITY = {"none": "NONE", "same": "SAME_COMPUTE_CAPABILITY", "ampere+": "AMPERE_PLUS"}


def configure(
    library: Library, parsing: Parsing, architectures: Sequence[str], options: EngineOptions
) -> api.Config:
    """The builder's configuration for a parsed network.

    Args:
        library: that builds.
        parsing: with the network.
        architectures: ("sm_86", …) the engine must run on.
        options: of the engine.

    Raises:
        UsageError: an option this TensorRT does not have.
        TargetError: an architecture that does not go with the options.
        BuildRefused: the options do not fit the network.
    """
    trt, config = library.api, parsing.builder.create_builder_config()
    _set_hardware(library, config, architectures, options)
    # TensorFloat-32 is on by default; float32 products keep all their digits unless asked otherwise.
    _set_flag(config, getattr(trt.BuilderFlag, "TF32", None), options.tf32)
    if options.version_compatible:
        if library.name == "tensorrt_rtx":
            raise UsageError(
                "TensorRT-RTX engines run on the version that built them only",
                "leave out --version-compatible, or build with `tensorrt`",
            )
        _set_flag(config, trt.BuilderFlag.VERSION_COMPATIBLE, True)
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    config.builder_optimization_level = options.builder_level
    _add_profiles(parsing, config, options)
    return config


def _set_flag(config: api.Config, flag: api.Member | None, wanted: bool) -> None:
    if flag is not None:
        (config.set_flag if wanted else config.clear_flag)(flag)


def _set_hardware(
    library: Library, config: api.Config, architectures: Sequence[str], options: EngineOptions
) -> None:
    """Which cards the engine is for.

    TensorRT-RTX takes a list of compute capabilities, and without one builds for Ampere and everything
    later; every card of a listed capability may run the engine. TensorRT builds for the GPU at hand and
    widens that by a level of compatibility.
    """
    wide = options.hardware_compatible == "ampere+"
    older = [name for name in architectures if int(name.removeprefix("sm_")) < 80]
    if wide and older:
        raise TargetError(f"{older[0]} is older than Ampere", "leave out --hardware-compatible ampere+")
    if not hasattr(config, "num_compute_capabilities"):
        level = getattr(
            library.api.HardwareCompatibilityLevel, _COMPATIBILITY[options.hardware_compatible], None
        )
        if level is None:
            raise UsageError(
                f"{library.title} has no hardware compatibility '{options.hardware_compatible}'",
                "use --hardware-compatible ampere+, or a later TensorRT",
            )
        config.hardware_compatibility_level = level
        return
    if wide:
        return
    config.num_compute_capabilities = len(architectures)
    for index, name in enumerate(architectures):
        config.set_compute_capability(
            getattr(library.api.ComputeCapability, name.replace("sm_", "SM")), index
        )


def _add_profiles(parsing: Parsing, config: api.Config, options: EngineOptions) -> None:
    network = parsing.network
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    # What a dynamic shape is computed from must have a range of values, and nobody knows one here.
    for tensor in inputs:
        if tensor.is_shape_tensor:
            raise BuildRefused(
                f"input '{tensor.name}' decides a shape and its values are known only when the model runs",
                "build",
            )
    open_inputs = [tensor for tensor in inputs if any(size < 0 for size in tensor.shape)]
    for ranges in options.profiles:
        profile = parsing.builder.create_optimization_profile()
        for tensor in open_inputs:
            # The parser renames an input that is returned as it is, and copies it into the output.
            shapes = ranges.get(tensor.name) or ranges.get(tensor.name.removeprefix("__"))
            if shapes is None:
                raise BuildRefused(f"input '{tensor.name}' has open dims and no range of shapes", "options")
            profile.set_shape(tensor.name, shapes.least, shapes.usual, shapes.most)
        if config.add_optimization_profile(profile) < 0:
            raise BuildRefused(f"the ranges of {', '.join(ranges)} do not fit the network", "options")
    if open_inputs and not options.profiles:
        names = ", ".join(tensor.name for tensor in open_inputs)
        raise BuildRefused(f"an engine needs a range of shapes for {names}", "options")
