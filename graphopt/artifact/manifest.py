"""The manifest of an artifact: what it holds, how it is read, which versions open which.

Compatibility rule. A manifest says ``"schema": "major.minor"``. A reader opens every artifact of its
own major version: fields it does not know are kept and ignored, fields added later have defaults. It
refuses a newer major, which may mean something else by the same words, with the command that helps.
``manifest.schema.json`` beside this file says the same to other programs.

The manifest is untrusted input: every field is checked for its type before it is used. It carries a
digest of itself, so that a flipped bit is found here and not as a wrong answer later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphopt.artifact.fields import Fields, relative_name
from graphopt.backends.executable import TensorInfo
from graphopt.errors import ArtifactError

FORMAT = "graphopt-artifact"
SCHEMA = (1, 0)
MANIFEST_NAME = "manifest.json"
MODEL_NAME = "model.onnx"
MAX_MANIFEST_BYTES = 64 << 20


@dataclass(frozen=True)
class FileEntry:
    """One file of the artifact.

    Attributes:
        size: in bytes.
        sha256: lower-case hexadecimal digest of its contents.
    """

    size: int
    sha256: str


@dataclass(frozen=True)
class RegionEntry:
    """One region, in the order they run.

    Attributes:
        backend: whose loader opens it.
        file: name inside the artifact.
        inputs: values it takes: outputs of earlier regions or inputs of the model.
        outputs: values it gives.
        options: what the loader needs besides the bytes.
    """

    backend: str
    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` says.

    Attributes:
        writer: name and version of the program that wrote the artifact.
        inputs: of the model, in its order.
        outputs: of the model, in its order.
        regions: in running order.
        files: every other file of the artifact by its relative name.
        threads: threads the artifact was compiled for, or None.
        target: the machine compiled for, as ``Target.to_json`` spells it.
        details: the remaining fields, kept as they are: source, versions, passes, placement,
            equality, tuning, and whatever a newer minor version adds.
        schema: (major, minor) of the format.
    """

    writer: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    regions: tuple[RegionEntry, ...]
    files: Mapping[str, FileEntry]
    threads: int | None = None
    target: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    schema: tuple[int, int] = SCHEMA

    def to_bytes(self) -> bytes:
        """The manifest as indented UTF-8 JSON, its own digest included."""
        fields: dict[str, Any] = {
            "format": FORMAT,
            "schema": f"{self.schema[0]}.{self.schema[1]}",
            "writer": self.writer,
            "target": dict(self.target),
            "threads": self.threads,
            "inputs": [_tensor_json(info) for info in self.inputs],
            "outputs": [_tensor_json(info) for info in self.outputs],
            "regions": [_region_json(region) for region in self.regions],
            "files": {name: {"size": e.size, "sha256": e.sha256} for name, e in sorted(self.files.items())},
        }
        clash = fields.keys() & self.details.keys() | ({"digest"} & self.details.keys())
        if clash:
            raise ArtifactError(f"manifest field '{min(clash)}' is reserved")
        fields |= self.details
        fields["digest"] = digest(fields)
        return (json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Check and read the bytes of a manifest.

    Args:
        data: the file's contents.
        where: the artifact's name, for messages.

    Raises:
        ArtifactError: foreign, damaged or of an unknown version; the message names the field.
    """
    try:
        raw = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{where}: {MANIFEST_NAME} is damaged: not valid JSON", _RECOMPILE) from error
    top = Fields(raw, where, MANIFEST_NAME)
    if top.get("format", str, "") != FORMAT:
        raise ArtifactError(f"{where} is not a graphopt artifact: its manifest has another format")
    schema = _schema(top, where)
    if digest(raw) != top.get("digest", str):
        raise ArtifactError(f"{where}: {MANIFEST_NAME} is damaged: its digest does not match", _RECOMPILE)
    manifest = Manifest(
        writer=top.get("writer", str),
        inputs=tuple(_tensor(item) for item in top.items("inputs")),
        outputs=tuple(_tensor(item) for item in top.items("outputs")),
        regions=tuple(_region(item) for item in top.items("regions")),
        files={name: _file(name, item) for name, item in top.entries("files")},
        threads=top.get("threads", int, None, minimum=1),
        target=top.get("target", dict),
        details={key: value for key, value in raw.items() if key not in _KNOWN},
        schema=schema,
    )
    _check_references(manifest, top)
    return manifest


_RECOMPILE = "compile the model again"
_KNOWN = {
    "format",
    "schema",
    "writer",
    "target",
    "threads",
    "inputs",
    "outputs",
    "regions",
    "files",
    "digest",
}


def digest(fields: Mapping[str, Any]) -> str:
    """SHA-256 of all fields but ``digest`` itself, as canonical JSON."""
    rest = {key: value for key, value in fields.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _schema(top: Fields, where: str) -> tuple[int, int]:
    text = top.get("schema", str)
    major, _, minor = text.partition(".")
    if not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit() and len(text) < 20):
        raise top.error("schema", "is not 'major.minor'")
    if int(major) > SCHEMA[0]:
        message = f"{where} has artifact format {text}; this graphopt reads {SCHEMA[0]}.x"
        raise ArtifactError(message, "pip install --upgrade graphopt")
    if int(major) < SCHEMA[0]:
        message = f"{where} has artifact format {text}; this graphopt reads {SCHEMA[0]}.x"
        raise ArtifactError(message, _RECOMPILE)
    return int(major), int(minor)


def _check_references(manifest: Manifest, top: Fields) -> None:
    """Every file and value that is named must exist, so that nothing fails half-way through a run."""
    known = {info.name for info in manifest.inputs}
    if len(known) < len(manifest.inputs):
        raise top.error("inputs", "names one input twice")
    for region in manifest.regions:
        if region.file not in manifest.files:
            raise top.error("regions", f"names the file '{region.file}', which is not listed")
        missing = [name for name in region.inputs if name not in known]
        if missing:
            raise top.error("regions", f"uses '{missing[0]}' before anything computes it")
        known.update(region.outputs)
    missing = [info.name for info in manifest.outputs if info.name not in known]
    if missing:
        raise top.error("outputs", f"names '{missing[0]}', which nothing computes")


def _tensor(item: Fields) -> TensorInfo:
    shape = item.get("shape", list, None)
    if shape is not None and not all(d is None or isinstance(d, str) or _is_size(d) for d in shape):
        raise item.error("shape", "holds something that is not a dim")
    return TensorInfo(
        item.get("name", str),
        item.get("dtype", str),
        None if shape is None else tuple(shape),
        item.get("optional", bool, False),
    )


def _is_size(dim: object) -> bool:
    return isinstance(dim, int) and not isinstance(dim, bool) and 0 <= dim < 1 << 63


def _tensor_json(info: TensorInfo) -> dict[str, Any]:
    shape = None if info.shape is None else list(info.shape)
    fields: dict[str, Any] = {"name": info.name, "dtype": info.dtype, "shape": shape}
    return fields | ({"optional": True} if info.optional else {})


def _region(item: Fields) -> RegionEntry:
    return RegionEntry(
        item.get("backend", str),
        relative_name(item.get("file", str), item),
        _names(item, "inputs"),
        _names(item, "outputs"),
        item.get("options", dict, {}),
    )


def _names(item: Fields, key: str) -> tuple[str, ...]:
    names: Sequence[object] = item.get(key, list)
    if not all(isinstance(name, str) for name in names):
        raise item.error(key, "holds something that is not a name")
    return tuple(str(name) for name in names)


def _region_json(region: RegionEntry) -> dict[str, Any]:
    return {
        "backend": region.backend,
        "file": region.file,
        "inputs": list(region.inputs),
        "outputs": list(region.outputs),
        "options": dict(region.options),
    }


def _file(name: str, item: Fields) -> FileEntry:
    relative_name(name, item)
    sha256 = item.get("sha256", str)
    if len(sha256) != 64 or any(c not in "0123456789abcdef" for c in sha256):
        raise item.error("sha256", "is not a SHA-256 digest")
    return FileEntry(item.get("size", int, minimum=0), sha256)
