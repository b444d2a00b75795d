"""``graphopt inspect``: what is in a model or an artifact, per node and in total."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from graphopt.report.inspection import InspectReport, NodeRow
from graphopt.report.inspection_engines import EngineRow, Need

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.artifact.reader import Artifact
    from graphopt.ir.load import Source

__all__ = ["EngineRow", "InspectReport", "Need", "NodeRow", "inspect"]


def inspect(source: Source, *, shapes: Iterable[str] | Mapping[str, Any] | None = None) -> InspectReport:
    """Look at a model (a path, bytes, a ModelProto, an IR model) or at the model and engines of an artifact.

    Nothing is run, and no GPU is needed: what an artifact's engines are, what a host must have to run
    them and whether this one has it is read from the artifact, whose hashes are all checked.

    Args:
        source: what to look at; a ``.gopt`` folder or packed file is checked and opened.
        shapes: of inputs, as ``--shape`` spells them or as {input: dims}. Dims nobody gives are
            assumed, so that the figures have a value: the first open dim of an input is 1, open
            height and width 224, others 128. The report says which.

    Raises:
        ModelError, ArtifactError: the source cannot be read.
        UsageError: a shape does not fit.
    """
    from graphopt.driver.subject import is_artifact
    from graphopt.ir.load import load_model

    if isinstance(source, str | os.PathLike) and is_artifact(Path(source)):
        return _artifact_report(Path(source), shapes)
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    return _report(load_model(source), path, shapes)


def _artifact_report(path: Path, shapes: Iterable[str] | Mapping[str, Any] | None) -> InspectReport:
    from graphopt.artifact.manifest import MODEL_NAME
    from graphopt.artifact.reader import open_artifact
    from graphopt.driver.inspect_engines import engine_rows, needs
    from graphopt.ir.load import load_model

    artifact = open_artifact(path)
    if not artifact.packed:
        report = _report(load_model(path / MODEL_NAME), os.fspath(path), shapes)
    else:
        with TemporaryDirectory(prefix="graphopt-inspect-") as folder:
            for name, content in artifact.contents.items():
                if "/" not in name:
                    Path(folder, name).write_bytes(content)
            report = _report(load_model(Path(folder, MODEL_NAME)), os.fspath(path), shapes)
    return replace(
        report,
        kind="artifact",
        artifact=_artifact_facts(artifact),
        engines=engine_rows(artifact),
        needs=needs(artifact),
    )


def _artifact_facts(artifact: Artifact) -> dict[str, Any]:
    """What the manifest says, in short words; absent parts are left out."""
    manifest = artifact.manifest
    details = manifest.details
    regions = Counter(region.backend for region in manifest.regions)
    equality, shipped, source = (details.get(k) for k in ("equality", "shipped", "source"))
    placement, precision = details.get("placement"), details.get("precision")
    facts: dict[str, Any] = {
        "written_by": manifest.writer,
        "target": _target(manifest.target),
        "regions": ", ".join(f"{count} {backend}" for backend, count in regions.items()),
        "share_of_flops": _shares(placement) if isinstance(placement, list) else None,
        "precision": _precision(precision) if isinstance(precision, Mapping) else None,
        "compiled_from": source.get("path") if isinstance(source, Mapping) else None,
        "shipped": shipped.get("what") if isinstance(shipped, Mapping) else None,
        "verdict": _verdict(equality) if isinstance(equality, Mapping) else None,
        "files": ", ".join(f"{name} ({entry.size:,} B)" for name, entry in manifest.files.items()),
        "hashes": f"all {len(manifest.files)} files are what the manifest says",
    }
    return {key: value for key, value in facts.items() if value}


def _target(target: Mapping[str, Any]) -> str:
    """The target as a person types it, where it has such a form."""
    kind, isa = target.get("kind"), target.get("isa")
    if kind == "cuda" and isinstance(isa, str):
        return f"cuda:{isa.replace('+', ',')}"
    return " ".join(str(part) for part in (kind, isa) if part)


def _verdict(equality: Mapping[str, Any]) -> str:
    """The verdict, and what was and was not run to come to it."""
    notes = equality.get("notes")
    texts = notes if isinstance(notes, list | tuple) else ()
    return "; ".join(filter(None, map(str, (equality.get("verdict") or "", *texts))))


def _shares(rows: list[Any]) -> str:
    """Backend and its share of the arithmetic, where the artifact says."""
    known = [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("share"), float | int)]
    return ", ".join(f"{row.get('backend')} {100 * row['share']:.1f} %" for row in known)


def _precision(precision: Mapping[str, Any]) -> str:
    """What was asked for, how much of the model computes in it, and how much was kept from it by name."""
    kept, converted = precision.get("kept"), precision.get("converted")
    parts = [str(precision.get("asked"))]
    if isinstance(converted, int):
        parts.append(f"{converted} nodes compute in it" if converted else "no node computes in it")
    if isinstance(kept, list | tuple | Mapping) and kept:
        parts.append(f"{len(kept)} stay in fp32 for a reason (graphopt explain)")
    if precision.get("advice"):
        parts.append(str(precision["advice"]))
    return ", ".join(parts)


def _report(
    model: ir.Model,
    path: str,
    shapes: Iterable[str] | Mapping[str, Any] | None,
) -> InspectReport:
    from graphopt.ir import walk
    from graphopt.ir.analyses.bytes import model_bytes
    from graphopt.ir.analyses.flops import model_flops
    from graphopt.ir.analyses.liveness import liveness
    from graphopt.ir.analyses.sizes import Sizes
    from graphopt.ir.fingerprint import fingerprint
    from graphopt.report.summary import operator_counts, operator_name

    bound, dims, assumed = _bound(model, shapes)
    sizes = Sizes(dims)
    flops, moved, alive = model_flops(bound, sizes), model_bytes(bound, sizes), liveness(bound, sizes)
    uncounted = Counter(operator_name(node) for node, count in flops.per_node.items() if count is None)
    by_dtype: Counter[str] = Counter()
    for tensor in walk.constants(model):
        by_dtype[tensor.dtype.name.lower()] += tensor.nbytes
    return InspectReport(
        path=path,
        kind="model",
        fingerprint=fingerprint(model),
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        ir_version=model.ir_version,
        opsets=dict(model.opset_imports),
        metadata=dict(model.metadata_props),
        inputs=tuple(_typed(v) for v in model.graph.inputs),
        outputs=tuple(_typed(v) for v in model.graph.outputs),
        nodes=walk.num_nodes(model),
        functions=tuple("::".join(filter(None, key[:2])) for key in model.functions),
        operators=operator_counts(model),
        parameters=sum(t.size for t in walk.constants(model) if t.dtype.is_floating_point()),
        weight_bytes=walk.weight_bytes(model),
        weight_bytes_by_dtype=dict(by_dtype.most_common()),
        dims=dims,
        assumed=assumed,
        flops=flops.total,
        uncounted=dict(uncounted.most_common()),
        bytes_moved=moved.total,
        bytes_unknown=moved.unknown,
        peak_activation_bytes=alive.peak_bytes,
        activations_unknown=alive.unknown,
        peak_node="" if alive.peak_node is None else alive.peak_node.name or alive.peak_node.op_type,
        rows=tuple(_rows(bound, sizes, flops.per_node, alive.live_bytes)),
    )


def _typed(value: ir.Value) -> str:
    from graphopt.ir.tensor_text import type_text

    return f"{value.name}: {type_text(value)}"


def _bound(
    model: ir.Model, shapes: Iterable[str] | Mapping[str, Any] | None
) -> tuple[ir.Model, dict[str, int], tuple[str, ...]]:
    """A copy with numbers for every dim of the inputs and inferred shapes; dim → number; those assumed."""
    from graphopt.driver.shapes import guess_dims, infer_all_shapes
    from graphopt.ir.freeze import set_input_shapes
    from graphopt.ir.shape_spec import parse_shape_specs

    given = shapes if isinstance(shapes, Mapping) else parse_shape_specs(shapes or (), model)
    bound = model.clone()
    symbols = [(v.name or "", i, d) for v in bound.graph.inputs for i, d in enumerate(v.shape or ())]
    set_input_shapes(bound, given)
    open_before = _symbols(bound)
    set_input_shapes(bound, guess_dims(bound))
    infer_all_shapes(bound)
    inputs = {v.name or "": v for v in bound.graph.inputs}
    dims: dict[str, int] = {}
    for name, index, dim in symbols:
        shape = inputs[name].shape
        extent = None if shape is None else shape[index]
        if not isinstance(dim, int) and dim.value and isinstance(extent, int):
            dims[dim.value] = extent
    return bound, dims, tuple(name for name in dims if name in open_before)


def _symbols(model: ir.Model) -> set[str]:
    shapes = [v.shape for v in model.graph.inputs if v.shape is not None]
    return {d.value for shape in shapes for d in shape if not isinstance(d, int) and d.value}


def _rows(
    model: ir.Model, sizes: Any, flops: Mapping[ir.Node, int | None], live: tuple[int, ...]
) -> Iterator[NodeRow]:
    yield from _graph_rows(model.graph, sizes, flops, live, "")


def _graph_rows(
    graph: ir.Graph, sizes: Any, flops: Mapping[ir.Node, int | None], live: tuple[int, ...], scope: str
) -> Iterator[NodeRow]:
    """Rows of a graph and, after each node, of its subgraphs; recursion follows the nesting."""
    from graphopt.ir.analyses.bytes import node_bytes
    from graphopt.ir.tensor_text import type_text
    from graphopt.ir.walk import subgraphs
    from graphopt.report.summary import operator_name

    for index, node in enumerate(graph):
        traffic = node_bytes(node, sizes)
        yield NodeRow(
            name=node.name or "",
            op=operator_name(node),
            output=type_text(node.outputs[0]) if node.outputs else "",
            flops=flops.get(node),
            weights=None if traffic is None else traffic.weights,
            read=None if traffic is None else traffic.read,
            written=None if traffic is None else traffic.written,
            live=live[index] if index < len(live) else None,
            scope=scope,
        )
        for body in subgraphs(node):
            name = "/".join(filter(None, (scope, node.name or node.op_type)))
            yield from _graph_rows(body, sizes, flops, (), name)
