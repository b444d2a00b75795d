"""Whether the native core computes what ONNX says: against onnx.reference in float64 and ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx import ModelProto, TensorProto
from onnx.numpy_helper import from_array, to_array
from onnx.reference import ReferenceEvaluator

from graphopt.backends.native.backend import BACKEND
from graphopt.backends.native.module import import_kernels
from graphopt.backends.native.plan_file import write_plan
from graphopt.backends.native.region import compile_region
from graphopt.ir.shapes import infer_shapes
from tests.backends.native.random_operators.corrected import CORRECTED
from tests.backends.native.random_operators.draw import Array, Bound, Case
from tests.backends.native.whole import host

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_WIDENED = (np.dtype(np.float32), np.dtype(np.float16), _BFLOAT16)
_BY_DTYPE = frozenset({"Cast", "CastLike", "Mod", "Range", "EyeLike", "ConstantOfShape", "Pow"})
"""Operators whose results depend on what dtype they see, so that they run as they are."""


class Refused(Exception):
    """The native core does not claim the operator; the message says why."""


def plan_of(model: ModelProto) -> bytes:
    """The model as a plan, without any pass in front."""
    graph = ir.from_proto(model)
    infer_shapes(graph)
    for node in graph.graph:
        claim = BACKEND.claims(node, host())
        if not claim.accepted:
            raise Refused(f"{node.op_type}: {claim.reason}")
    return write_plan(compile_region(graph))


@dataclass(frozen=True)
class Oracles:
    """What others compute.

    Attributes:
        results: of onnx.reference and of ONNX Runtime, where they ran; by output.
        magnitudes: the results for the absolute values of all floats.
        why: each that did not run said.
    """

    results: Mapping[str, dict[str, Array]]
    magnitudes: Mapping[str, Array]
    why: Mapping[str, str]


def ask(case: Case, model: ModelProto, feeds: Mapping[str, Array]) -> Oracles:
    """Run the oracles."""
    results: dict[str, dict[str, Array]] = {}
    magnitudes: dict[str, Array] = {}
    why: dict[str, str] = {}
    wide = model if case.op in _BY_DTYPE else widened(model)
    wide_feeds = feeds if wide is model else {name: _wide(array) for name, array in feeds.items()}
    for oracle, run, asked, fed in (
        ("onnxruntime", onnxruntime, model, feeds),
        ("reference", reference, wide, wide_feeds),
    ):
        try:
            results[oracle] = run(asked, fed)
            if case.bound.of_magnitude and not magnitudes:
                magnitudes = run(_absolute(asked), {name: _abs(a) for name, a in fed.items()})
        except Exception as error:
            why[oracle] = f"{type(error).__name__}: {error}"
    return Oracles(results, magnitudes, why)


def reference(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What onnx.reference computes, with its mistakes corrected."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = ReferenceEvaluator(model, new_ops=[*CORRECTED]).run(None, dict(feeds))
    return {value.name: np.asarray(array) for value, array in zip(model.graph.output, found, strict=True)}


def onnxruntime(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What ONNX Runtime computes as the model stands."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = session.run(None, dict(feeds))
    return {value.name: array for value, array in zip(model.graph.output, found, strict=True)}


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype in _WIDENED else array


def _abs(array: Array) -> Array:
    return np.abs(np.nan_to_num(array, posinf=1.0, neginf=1.0)) if array.dtype.kind == "f" else array


def _mapped(model: ModelProto, change: Callable[[Array], Array]) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    for index, tensor in enumerate(model.graph.initializer):
        changed = from_array(change(to_array(tensor)), tensor.name)
        copy.graph.initializer[index].CopyFrom(changed)
    return copy


def widened(model: ModelProto) -> ModelProto:
    """The model in float64."""
    copy = _mapped(model, _wide)
    for value in (*copy.graph.input, *copy.graph.output):
        if value.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16):
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return copy


def _absolute(model: ModelProto) -> ModelProto:
    copy = _mapped(model, _abs)
    for node in copy.graph.node:
        if node.op_type in ("Neg", "Sub"):
            node.op_type = {"Neg": "Identity", "Sub": "Add"}[node.op_type]
        for attribute in node.attribute:
            if attribute.name in ("alpha", "beta") and node.op_type == "Gemm":
                attribute.f = abs(attribute.f)
    return copy


def complaint(got: Array, want: Array, bound: Bound, magnitude: Array | None, unordered: int | None) -> str:
    """What is wrong with a result; empty if nothing is."""
    if got.shape != want.shape:
        return f"shape {got.shape} instead of {want.shape}"
    if unordered is not None:
        got, want = np.sort(got, unordered), np.sort(want, unordered)
    if got.dtype.kind not in "fV" and got.dtype != _BFLOAT16:
        if got.dtype != want.dtype:
            return f"dtype {got.dtype} instead of {want.dtype}"
        wrong = got != want
        return "" if not wrong.any() else _first(wrong, got, want)
    info = ml_dtypes.finfo(got.dtype)
    a = got.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        b = want.astype(np.float64)
        rounded = b.astype(got.dtype).astype(np.float64)
        allowed = _allowed(b, bound, magnitude, float(info.eps), float(info.smallest_normal))
        same = (a == rounded) | (np.isnan(a) & np.isnan(b))
        # Beyond the largest number by less than the bound, either is right.
        near = np.abs(a - b) <= allowed
        brim = np.isinf(a) & (np.sign(a) == np.sign(b)) & (np.abs(b) + allowed >= float(info.max))
    wrong = ~(same | near | brim)
    return "" if not wrong.any() else _first(wrong, got, want)


def _allowed(want: Array, bound: Bound, magnitude: Array | None, eps: float, tiny: float) -> Array:
    finite = np.where(np.isfinite(want), np.abs(want), 0.0)
    allowed = (bound.ulps * eps) * finite + bound.absolute
    # Denormals count as zero.
    allowed = allowed + tiny
    if bound.of_largest and finite.size:
        allowed = allowed + bound.of_largest * eps * finite.max()
    if bound.of_magnitude and magnitude is not None and magnitude.shape == want.shape:
        allowed = allowed + bound.of_magnitude * eps * np.abs(magnitude)
    return np.asarray(allowed)


def _first(wrong: Array, got: Array, want: Array) -> str:
    places = np.argwhere(wrong)
    place = tuple(int(i) for i in places[0])
    return (
        f"{len(places)} of {wrong.size} differ, first at {list(place)}: {got[place]} instead of {want[place]}"
    )


def native(
    plan: bytes, feeds: Sequence[Mapping[str, Array]], isa: str, threads: int
) -> list[dict[str, Array]]:
    """The results of several runs of one open plan."""
    opened = import_kernels().Plan(plan, None, isa=isa, threads=threads)
    return [
        {name: np.array(value, copy=True) for name, value in opened.run(dict(feed)).items()} for feed in feeds
    ]


def compare(
    case: Case, oracles: Oracles, bounds: Mapping[str, Bound], got: Mapping[str, Array]
) -> dict[str, str]:
    """By oracle what it says against the results; empty where it agrees with all."""
    found: dict[str, str] = {}
    for oracle, results in oracles.results.items():
        for name, want in results.items():
            mine = got[name]
            said = complaint(mine, want, bounds[name], oracles.magnitudes.get(name), case.unordered)
            if said:
                found[oracle] = f"{name}: {said}"
                break
    return found
