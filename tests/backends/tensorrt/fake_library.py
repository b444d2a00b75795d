"""A TensorRT that records what it is told: for the versions whose libraries no test machine has."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from graphopt.backends.tensorrt.module import Library


class BuilderFlag(enum.Enum):
    TF32 = 6
    VERSION_COMPATIBLE = 13


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class HardwareCompatibilityLevel(enum.Enum):
    NONE = 0
    AMPERE_PLUS = 1
    SAME_COMPUTE_CAPABILITY = 2


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


@dataclass
class Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: Any = field(default_factory=lambda: SimpleNamespace(name="FLOAT"))
    is_shape_tensor: bool = False


@dataclass
class Network:
    inputs: list[Tensor]
    outputs: list[Tensor]
    flags: int = 0
    num_layers: int = 1

    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))

    def get_input(self, index):
        return self.inputs[index]

    def get_output(self, index):
        return self.outputs[index]


class Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, least, usual, most):
        self.shapes[name] = (tuple(least), tuple(usual), tuple(most))


class Config:
    """``IBuilderConfig`` as TensorRT 10 and 11 have it: no list of compute capabilities."""

    def __init__(self):
        self.flags = {BuilderFlag.TF32}
        self.pools = {}
        self.profiles = []
        self.builder_optimization_level = 3
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
        self.given = None
        self.timings = b"new timings"

    def set_flag(self, flag):
        self.flags.add(flag)

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def get_flag(self, flag):
        return flag in self.flags

    def set_memory_pool_limit(self, pool, size):
        self.pools[pool] = size

    def get_memory_pool_limit(self, pool):
        return self.pools[pool]

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, data):
        return SimpleNamespace(serialize=lambda: self.timings, data=data)

    def set_timing_cache(self, cache, ignore_mismatch):
        assert ignore_mismatch is False
        self.given = cache
        return True

    def get_timing_cache(self):
        return self.given


@dataclass
class Builder:
    """Keeps the configuration of its last build in ``config``."""

    logger: Any
    network: Network = field(default_factory=lambda: Network([Tensor("x", (1, 4))], [Tensor("y", (1, 4))]))
    plan: bytes | None = b"engine"
    config: Config | None = None

    def create_network(self, flags=0):
        self.network.flags = flags
        return self.network

    def create_builder_config(self):
        self.config = Config()
        return self.config

    def create_optimization_profile(self):
        return Profile()

    def build_serialized_network(self, network, config):
        self.logger.log(SimpleNamespace(name="INFO"), "Max Scratch Memory: 4096 bytes")
        return self.plan


@dataclass
class OnnxParser:
    network: Network
    logger: Any
    num_errors: int = 0

    def parse_from_file(self, path):
        return True

    def supports_operator(self, name):
        return name != "Foo"


class ILogger:
    """The base class of loggers."""


def fake_tensorrt(
    version: str = "11.4.0.106", *, network: Network | None = None, plan: bytes | None = b"engine"
):
    """(a library that is ``tensorrt``, the builders it made)."""
    builders: list[Builder] = []

    def new_builder(logger):
        builders.append(Builder(logger, plan=plan) if network is None else Builder(logger, network, plan))
        return builders[-1]

    api = SimpleNamespace(
        Builder=new_builder,
        OnnxParser=OnnxParser,
        ILogger=ILogger,
        BuilderFlag=BuilderFlag,
        MemoryPoolType=MemoryPoolType,
        HardwareCompatibilityLevel=HardwareCompatibilityLevel,
        NetworkDefinitionCreationFlag=NetworkDefinitionCreationFlag,
    )
    return Library("tensorrt", version, _Hashable(api)), builders


class _Hashable:
    """A module stands in a frozen record, so it must have a hash."""

    def __init__(self, api: SimpleNamespace) -> None:
        self.__dict__.update(api.__dict__)
