"""Which engines may be handed to TensorRT here: decided by us, from facts bound to the engine by a digest.

The facts lie beside the engine in the artifact's JSON and are untrusted. Imports no compiler room.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from graphopt.backends.tensorrt.module import NAMES
from graphopt.errors import ArtifactError

Buffer = bytes | memoryview

_BOUND = (
    "module",
    "version",
    "architectures",
    "device",
    "hardware_compatible",
    "version_compatible",
    "profiles",
    "workspace_bytes",
    "builder_level",
    "tf32",
    "model",
    "plan",
)
"""The facts the key is made of: where the engine may run, how it was built, from what, and its own bytes."""


def plan_key(facts: Mapping[str, Any]) -> str:
    """The key of an engine with these facts: a digest, in hexadecimal."""
    bound = {name: facts.get(name) for name in _BOUND}
    return hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()


def digest(data: Buffer) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def check_plan(facts: Mapping[str, Any], data: Buffer) -> None:
    """Refuse an engine that is not the one its facts were written for.

    Raises:
        ArtifactError: the facts are malformed, were changed, or belong to another engine.
    """
    if facts.get("module") not in NAMES or not isinstance(facts.get("version"), str):
        raise ArtifactError("an engine's facts do not say which TensorRT it is for")
    architectures = facts.get("architectures")
    if not isinstance(architectures, list) or not all(_is_architecture(name) for name in architectures):
        raise ArtifactError("an engine's facts do not say which GPUs it is for")
    if facts.get("key") != plan_key(facts):
        raise ArtifactError("an engine's facts do not fit its key: they were changed", _recompile(facts))
    if facts.get("plan") != digest(data):
        raise ArtifactError("an engine is not the one its facts are of: it is damaged", _recompile(facts))


def _is_architecture(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"sm_\d{2,3}", name) is not None


def _recompile(facts: Mapping[str, Any]) -> str:
    names = ",".join(str(name) for name in facts["architectures"])
    return f"graphopt compile MODEL --target cuda:{names}"
