"""Whole models on the native core alone, without an artifact in between."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import onnx_ir as ir

from graphopt.backends.base import Blob, BuildOptions
from graphopt.backends.executable import RegionBlob
from graphopt.backends.native.backend import BACKEND
from graphopt.backends.native.load import NativeExecutable, load
from graphopt.driver.opt import import_model, optimize_model, pipeline
from graphopt.driver.runners import evaluator
from graphopt.ir.walk import all_nodes
from graphopt.rewrite.inline import inline_functions
from graphopt.targets.parse import parse_target
from graphopt.targets.target import Target


class NotClaimed(Exception):
    """The native core does not claim every node of a model."""


@cache
def host() -> Target:
    """This machine."""
    return parse_target("cpu")


def optimized(source: Any, level: int = 2, **options: Any) -> ir.Model:
    """A model after the passes, functions inlined that the native core does not know by name.

    Raises NotClaimed for the first node it does not claim.
    """
    model = optimize_model(
        import_model(source, **options), pipeline(level=level), target=host(), evaluate=evaluator()
    ).model
    inline_functions(model, lambda call: not BACKEND.claims(call, host()).accepted)
    for node in all_nodes(model.graph):
        claim = BACKEND.claims(node, host())
        if not claim.accepted:
            raise NotClaimed(f"{node.domain}{'::' if node.domain else ''}{node.op_type}: {claim.reason}")
    return model


def built(model: ir.Model) -> Blob:
    """The plan of a canonical model: one for every instruction set and number of threads."""
    return BACKEND.build(model, BuildOptions(host(), threads=1))


def opened(source: ir.Model | Blob, *, isa: str = "", threads: int = 2) -> NativeExecutable:
    """A canonical model, or its plan, loaded."""
    blob = source if isinstance(source, Blob) else built(source)
    region = RegionBlob(memoryview(blob.data), blob.options, None, threads, {}, "", isa=isa)
    found = load(region)
    assert isinstance(found, NativeExecutable)
    return found


def run(source: ir.Model | Blob, feeds: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Outputs of one run."""
    return opened(source, **options).run(feeds)
