"""The part of TensorRT's Python API that engines are built with, as types.

``tensorrt`` 10 and 11 and ``tensorrt_rtx`` all have it, under these names; NVIDIA ships no stubs for them.
What only some of them have is marked, and asked for with ``hasattr`` or ``getattr``.

A test compares this with the modules and with the stubs others made.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from typing_extensions import Buffer

class Member(Protocol):
    """A member of one of TensorRT's enumerations."""

    @property
    def name(self) -> str: ...
    def __int__(self) -> int: ...

class Enumeration(Protocol):
    """One of TensorRT's enumerations; members are looked up by name, as versions have different ones."""

    __members__: Mapping[str, Member]

class Tensor(Protocol):
    """``ITensor``."""

    name: str
    dtype: Member
    shape: Sequence[int]

    @property
    def is_shape_tensor(self) -> bool: ...

class Network(Protocol):
    """``INetworkDefinition``."""

    @property
    def num_inputs(self) -> int: ...
    @property
    def num_outputs(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    def get_input(self, index: int) -> Tensor: ...
    def get_output(self, index: int) -> Tensor: ...

class HostMemory(Buffer, Protocol):
    """``IHostMemory``."""

    @property
    def nbytes(self) -> int: ...

class Profile(Protocol):
    """``IOptimizationProfile``."""

    def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None: ...  # noqa: A002

class Cache(Protocol):
    """``ITimingCache``."""

    def serialize(self) -> HostMemory: ...

class Config(Protocol):
    """``IBuilderConfig``."""

    builder_optimization_level: int
    hardware_compatibility_level: Member
    num_compute_capabilities: int  # tensorrt_rtx only

    def set_compute_capability(self, compute_capability: Member, index: int) -> bool: ...  # tensorrt_rtx only
    def get_flag(self, flag: Member) -> bool: ...
    def set_flag(self, flag: Member) -> None: ...
    def clear_flag(self, flag: Member) -> None: ...
    def get_memory_pool_limit(self, pool: Member) -> int: ...
    def set_memory_pool_limit(self, pool: Member, pool_size: int) -> None: ...
    def add_optimization_profile(self, profile: Profile) -> int: ...
    def create_timing_cache(self, serialized_timing_cache: bytes) -> Cache: ...
    def get_timing_cache(self) -> Cache | None: ...
    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool: ...

class Builder(Protocol):
    """``Builder``."""

    def create_network(self, flags: int = 0) -> Network: ...
    def create_builder_config(self) -> Config: ...
    def create_optimization_profile(self) -> Profile: ...
    def build_serialized_network(self, network: Network, config: Config) -> HostMemory | None: ...

class ParserError(Protocol):
    """``ParserError``."""

    def desc(self) -> str: ...
    def node(self) -> int: ...
    def node_name(self) -> str: ...
    def node_operator(self) -> str: ...

class Parser(Protocol):
    """``OnnxParser``."""

    @property
    def num_errors(self) -> int: ...
    def get_error(self, index: int) -> ParserError: ...
    def parse_from_file(self, model: str) -> bool: ...
    def supports_operator(self, op_name: str) -> bool: ...
