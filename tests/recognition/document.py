"""Recognition documents: a form as one exporter writes it, and the operator it must become.

The format is described in README.md, for those who write documents.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir

HERE = Path(__file__).parent
DEFAULT_HEADER = '<ir_version: 8, opset_import: ["": 17]>'
EXPORTERS = frozenset(
    {
        "torch-torchscript",
        "torch-dynamo",
        "tf2onnx",
        "paddle2onnx",
        "optimum",
        "keras",
        "jax2onnx",
        "mxnet",
        "coremltools",
        "sklearn",
        "onnxruntime-quantizer",
        "torchao",
        "onnxscript",
        "handwritten",
    }
)
_DIRECTIVE = re.compile(
    r"(?://|#)\s*(?P<kind>EXPORTER|SPELLING|EXPECT|RUN|SCALE|DYNAMIC|SKIP):\s*(?P<text>.*?)\s*$"
)
_SEPARATOR = re.compile(r"(?://|#)\s*-{5,}$")


@dataclass(frozen=True)
class Document:
    """One spelling of one form.

    Attributes:
        path: the file; its stem is the form.
        line: where the document begins.
        exporter: who writes it so.
        spelling: what tells it from the exporter's other spellings.
        expected: operator (``domain.Op``, the domain left out where it is ONNX's) → how many.
        pipeline: what must recognise it; empty for the passes of -O2.
        scales: results of the Mul or Div nodes whose constant factor may sit elsewhere.
        dynamic: input → axes that the variant with dynamic dims leaves open; None for the default.
        skipped: variant → why it makes no sense here.
        text: the model.
    """

    path: Path
    line: int
    exporter: str
    spelling: str
    expected: dict[str, int]
    pipeline: str
    scales: tuple[str, ...]
    dynamic: dict[str, tuple[int, ...]] | None
    skipped: dict[str, str]
    text: str

    @property
    def form(self) -> str:
        """What is to be recognised."""
        return self.path.stem

    @property
    def is_positive(self) -> bool:
        """Whether something must be found; the other documents show what must be left alone."""
        return any(self.expected.values())

    def model(self) -> onnx.ModelProto:
        """The model, with a random weight for every value that is declared but never produced."""
        text = self.text if self.text.startswith("<") else f"{DEFAULT_HEADER}\n{self.text}"
        proto = onnx.parser.parse_model(text)
        _fill_weights(proto.graph)
        return proto


def read(path: Path) -> list[Document]:
    """The documents of a file."""
    found: list[Document] = []
    lines: list[str] = []
    first = 1
    for number, line in enumerate([*path.read_text().splitlines(), "# -----"], start=1):
        if _SEPARATOR.match(line.strip()):
            found.append(_document(path, lines, first))
            lines, first = [], number + 1
        else:
            lines.append(line)
    return found


def documents() -> list[Document]:
    """Every document there is."""
    return [document for path in sorted(HERE.glob("*.onnxtxt")) for document in read(path)]


def _document(path: Path, lines: list[str], first: int) -> Document:
    said: dict[str, list[str]] = {}
    model: list[str] = []
    for line in lines:
        found = _DIRECTIVE.match(line.strip())
        if found is not None:
            said.setdefault(found["kind"], []).append(found["text"])
        else:
            model.append("" if line.lstrip().startswith(("//", "#")) else line)
    where = f"{path.name}:{first}"
    assert len(said.get("EXPORTER", ())) == 1, f"{where}: a document needs one EXPORTER line"
    assert said["EXPORTER"][0] in EXPORTERS, f"{where}: no known exporter: {said['EXPORTER'][0]}"
    assert said.get("EXPECT"), f"{where}: a document needs an EXPECT line"
    return Document(
        path=path,
        line=first,
        exporter=said["EXPORTER"][0],
        spelling=" ".join(said.get("SPELLING", ())),
        expected=dict(_expectation(text) for text in said["EXPECT"]),
        pipeline=",".join(said.get("RUN", ())),
        scales=tuple(name for text in said.get("SCALE", ()) for name in text.split()),
        dynamic=_axes(said["DYNAMIC"]) if "DYNAMIC" in said else None,
        skipped=dict(_skip(text, where) for text in said.get("SKIP", ())),
        text="\n".join(model).strip(),
    )


def _expectation(text: str) -> tuple[str, int]:
    op_type, _, count = text.partition(" ")
    return op_type, int(count or 1)


def _axes(lines: list[str]) -> dict[str, tuple[int, ...]]:
    """``x 0 2`` leaves axes 0 and 2 of input x open; ``none`` leaves none."""
    words = [line.split() for line in lines if line != "none"]
    return {name: tuple(int(axis) for axis in axes) for name, *axes in words}


def _skip(text: str, where: str) -> tuple[str, str]:
    variant, _, reason = text.partition(" ")
    assert reason, f"{where}: SKIP: {variant} needs a reason"
    return variant, reason


def count_operators(model: ir.Model) -> Counter[str]:
    """The operators of the main graph and its subgraphs, without the bodies of functions."""
    return Counter(f"{n.domain}.{n.op_type}".lstrip(".") for n in model.graph.all_nodes())


def _fill_weights(graph: onnx.GraphProto) -> None:
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known |= {name for node in graph.node for name in node.output}
    for info in [*graph.value_info]:
        if info.name in known:
            continue
        shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        array = _weight(info.name, shape, np.dtype(dtype))
        graph.initializer.append(onnx.numpy_helper.from_array(array, info.name))
        graph.value_info.remove(info)


def _weight(name: str, shape: list[int], dtype: np.dtype[np.generic]) -> np.ndarray:
    """The same name and shape give the same weight; vectors are positive, so that they may be variances."""
    rng = np.random.default_rng(crc32(name.encode()))
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        low, high = {"int8": (-128, 128), "uint8": (0, 256)}.get(dtype.name, (0, 3))
        return rng.integers(low, high, shape).astype(dtype)
    if len(shape) < 2:
        return rng.uniform(0.5, 1.5, shape).astype(dtype)
    fan_in = int(np.prod(shape)) // max(shape)
    return np.asarray(rng.standard_normal(shape) / np.sqrt(max(fan_in, 1)), dtype)
