"""Session settings that belong to a legalised region: they travel in its metadata, then in its blob.

A region is spelled with ONNX Runtime's own optimisations in mind. Where one of those would undo the
spelling, the region says so; whoever opens a session for it passes the settings on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import onnx_ir as ir

METADATA_KEY = "graphopt.onnxruntime.session_config"

_DISABLE = "optimization.disable_specified_optimizers"


def session_config(region: ir.Model) -> dict[str, str]:
    """The session config entries a region wants, by name; empty for most."""
    text = region.metadata_props.get(METADATA_KEY)
    found = json.loads(text) if text else {}
    return {str(key): str(value) for key, value in found.items()}


def disable_optimizers(region: ir.Model, names: Iterable[str]) -> bool:
    """Keep ONNX Runtime from running some of its graph optimisers on a region; whether that is new."""
    config = session_config(region)
    known = list(filter(None, config.get(_DISABLE, "").split(";")))
    wanted = list(dict.fromkeys([*known, *names]))
    if wanted == known:
        return False
    config[_DISABLE] = ";".join(wanted)
    region.metadata_props[METADATA_KEY] = json.dumps(config, sort_keys=True)
    return True
