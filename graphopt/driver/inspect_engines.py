"""What an artifact's engines are and what a host needs to run them; nothing of them is run or loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphopt.backends.tensorrt.key import check_plan
from graphopt.backends.tensorrt.module import TITLES, find_library
from graphopt.backends.tensorrt.running.plan_options import PlanOptions
from graphopt.driver.doctor_nvidia import package_version
from graphopt.errors import ArtifactError, GraphoptError
from graphopt.report.inspection_engines import EngineRow, Need
from graphopt.targets.cuda_driver import cuda_driver
from graphopt.targets.named import CUDA_ARCHITECTURES

if TYPE_CHECKING:
    from graphopt.artifact.manifest import RegionEntry
    from graphopt.artifact.reader import Artifact

_BACKEND = "tensorrt"
_MOST_NOTES = 20


def engine_rows(artifact: Artifact) -> tuple[EngineRow, ...]:
    """One row per engine; what is malformed is a row that says so, not an error."""
    return tuple(_row(artifact, region) for region in _regions(artifact))


def needs(artifact: Artifact) -> tuple[Need, ...]:
    """What a host must have to run an artifact for a GPU, and whether this one has it; else empty."""
    if artifact.manifest.target.get("kind") != "cuda":
        return ()
    plans = []
    for region in _regions(artifact):
        try:
            plans.append(_plan(artifact, region))
        except ArtifactError:
            continue
    others = {region.backend for region in artifact.manifest.regions} - {_BACKEND}
    engines = _needs(plans) if plans else ()
    return (*engines, *([_onnxruntime()] if "onnxruntime" in others else []))


def _regions(artifact: Artifact) -> list[RegionEntry]:
    return [region for region in artifact.manifest.regions if region.backend == _BACKEND]


def _plan(artifact: Artifact, region: RegionEntry) -> PlanOptions:
    """What an engine needs; raises ArtifactError where its facts are not those it was written with."""
    check_plan(region.options, artifact.read(region.file))
    return PlanOptions.parse(region.options)


def _row(artifact: Artifact, region: RegionEntry) -> EngineRow:
    facts, data = region.options, artifact.read(region.file)
    row = EngineRow(
        region.file, data.nbytes, "?", (), (), "", region.inputs, region.outputs, (), 0, 0, (), (), ""
    )
    try:
        plan = _plan(artifact, region)
    except ArtifactError as error:
        return replace(row, fault=error.message)
    also = [f"every card from sm_80 on that {TITLES[plan.module]} supports"] if plan.ampere_or_later else []
    also += [f"later versions of {TITLES[plan.module]}"] if plan.version_compatible else []
    return replace(
        row,
        built_by=f"{TITLES[plan.module]} {plan.version}",
        architectures=plan.architectures,
        also=tuple(also),
        built_on=plan.card,
        inputs=_tensors(facts.get("inputs")) or region.inputs,
        outputs=_tensors(facts.get("outputs")) or region.outputs,
        profiles=_profiles(facts.get("profiles")),
        memory=plan.needed_bytes,
        layers=_number(facts.get("layers")),
        options=tuple(_options(facts)),
        notes=_texts(facts.get("notes")),
        key=str(facts.get("key")),
    )


def _options(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"builder level {_number(facts.get('builder_level'))}"
    workspace = _number(facts.get("workspace_bytes"))
    if workspace:
        yield f"at most {workspace / (1 << 20):g} MiB of workspace"
    if facts.get("tf32") is True:
        yield "TF32"


def _tensors(items: object) -> tuple[str, ...]:
    """``name: dtype[dims]`` of each; a dim of -1 is open. The facts are untrusted: odd ones are left out."""
    texts = []
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping) and isinstance(item.get("shape"), list):
            dims = ",".join("?" if dim == -1 else str(dim) for dim in item["shape"])
            texts.append(f"{item.get('name')}: {item.get('dtype')}[{dims}]")
    return tuple(texts)


def _profiles(profiles: object) -> tuple[Mapping[str, str], ...]:
    return tuple(
        {str(name): _range(shapes) for name, shapes in profile.items()}
        for profile in (profiles if isinstance(profiles, list) else ())
        if isinstance(profile, Mapping)
    )


def _range(shapes: object) -> str:
    """Smallest, usual and largest shape of one input, or the one shape it takes."""
    if not isinstance(shapes, Mapping):
        return "?"
    texts = {key: "x".join(map(str, dims)) for key, dims in shapes.items() if isinstance(dims, list)}
    least, usual, most = (texts.get(key, "?") for key in ("least", "usual", "most"))
    return least if least == most else f"{least} to {most}, tuned for {usual}"


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _texts(values: object) -> tuple[str, ...]:
    found = [str(value) for value in values] if isinstance(values, list) else []
    return tuple(found[:_MOST_NOTES])


def _needs(plans: Sequence[PlanOptions]) -> Iterator[Need]:
    yield _gpu(plans)
    for plan in dict.fromkeys((p.module, p.version) for p in plans):
        yield _module(next(p for p in plans if (p.module, p.version) == plan))
    yield _bindings()


def _gpu(plans: Sequence[PlanOptions]) -> Need:
    """A GPU that every engine runs on, with the memory all of them take."""
    names = [name for name in plans[0].architectures if all(name in p.architectures for p in plans)]
    cards = [f"{name} ({CUDA_ARCHITECTURES.get(name, '?')})" for name in names]
    later = " or later" if all(p.ampere_or_later for p in plans) else ""
    memory = sum(p.needed_bytes for p in plans)
    room = f" with {-(-memory >> 20):,} MiB of free memory" if memory else ""
    what = f"an NVIDIA GPU: {' or '.join(cards) or 'none runs all of the engines'}{later}{room}"
    driver = cuda_driver()
    if not driver.gpus:
        return Need(what, False, driver.reason, driver.fix)
    fitting = [gpu for gpu in driver.gpus if all(_runs_on(p, gpu.architecture) for p in plans)]
    if fitting:
        return Need(what, True, fitting[0].name)
    here = ", ".join(dict.fromkeys(f"{gpu.name}, {gpu.architecture}" for gpu in driver.gpus))
    first = driver.gpus[0].architecture
    return Need(what, False, f"here is {here}", f"graphopt compile MODEL --target cuda:{first}")


def _runs_on(plan: PlanOptions, architecture: str) -> bool:
    later = plan.ampere_or_later and int(architecture.removeprefix("sm_")) >= 80
    return architecture in plan.architectures or later


def _module(plan: PlanOptions) -> Need:
    what = f"{TITLES[plan.module]} {plan.version}"
    try:
        library = find_library(plan.module)
        plan.check_library(library)
    except GraphoptError as error:
        return Need(what, False, error.message, error.hint)
    return Need(what, True, library.version)


def _bindings() -> Need:
    try:
        found = importlib.util.find_spec("cuda.bindings") is not None
    except (ImportError, ValueError):
        found = False
    if found:
        return Need("cuda-bindings", True)
    return Need("cuda-bindings", False, "not installed", "pip install cuda-bindings")


def _onnxruntime() -> Need:
    """Where a region is ONNX Runtime's it runs on the GPU, or on the CPU by the package without CUDA."""
    from graphopt.backends.base import Available
    from graphopt.backends.registry import find_backend

    answer = find_backend("onnxruntime").availability()
    what = "ONNX Runtime, for regions that are no engines: onnxruntime-gpu, or they run on the CPU"
    if not isinstance(answer, Available):
        return Need(what, False, answer.reason, answer.fix)
    if package_version("onnxruntime-gpu") is None:
        return Need(what, True, f"onnxruntime {answer.version}, on the CPU")
    return Need(what, True, f"onnxruntime-gpu {answer.version}")
