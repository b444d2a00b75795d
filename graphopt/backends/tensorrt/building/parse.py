"""From an ONNX file to a TensorRT network. Imports no compiler room."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphopt.backends.tensorrt.building.request import BuildRefused, Output
from graphopt.backends.tensorrt.logger import ERROR, Log, log_of, readable
from graphopt.backends.tensorrt.module import TITLES, Library
from graphopt.errors import BackendError

if TYPE_CHECKING:
    from graphopt.backends.tensorrt import api

_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "FP8": "float8e4m3fn",
    "FP4": "float4e2m1",
}


@dataclass(frozen=True)
class Parsing:
    """A network under construction.

    Attributes:
        log: what TensorRT says.
        builder: of the network.
        network: strongly typed; empty until something is parsed.
        parser: fills the network, and owns the weights it refers to.
    """

    log: Log
    builder: api.Builder
    network: api.Network
    parser: api.Parser


def new_parser(library: Library) -> Parsing:
    """An empty strongly typed network and the parser that fills it; the log begins anew.

    Raises:
        BackendError: TensorRT cannot be started, as without a GPU where it needs one.
    """
    trt, log = library.api, log_of(library)
    log.lines.clear()
    try:
        builder = trt.Builder(log.handle)
        # TensorRT 11 and TensorRT-RTX have no other networks; they keep the flag and ignore it.
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, log.handle)
    except Exception as error:
        # The bindings answer a missing driver with whatever a null pointer happens to raise.
        said = "; ".join(map(readable, log.texts(ERROR))) or " ".join(str(error).split())
        raise BackendError(f"{library.title} cannot be started: {said}", "graphopt doctor") from error
    return Parsing(log, builder, network, parser)


def parse(library: Library, path: str) -> Parsing:
    """Parse a model from a file; its external data lies beside it.

    Raises:
        BuildRefused: with the parser's own words for each node it stumbled over.
        BackendError: TensorRT cannot be started.
    """
    parsing = new_parser(library)
    if parsing.parser.parse_from_file(path):
        return parsing
    reasons: dict[str, str] = {}
    indices: dict[int, str] = {}
    said: list[str] = []
    for position in range(parsing.parser.num_errors):
        error = parsing.parser.get_error(position)
        said.append(_words(library, error))
        if name := str(error.node_name()):
            reasons.setdefault(name, said[-1])
        elif error.node() >= 0 and str(error.node_operator()):
            indices.setdefault(int(error.node()), said[-1])
    said += map(readable, parsing.log.texts(ERROR))
    message = next(filter(None, said), "no reason given")
    raise BuildRefused(message, "parse", reasons=reasons, indices=indices)


def check_outputs(parsing: Parsing, expected: Sequence[Output]) -> None:
    """Refuse a network that does not return what ONNX says the model returns.

    Raises:
        BuildRefused: an output has another dtype, rank or size: the parser reads some node differently.
    """
    network = parsing.network
    found = {one["name"]: one for one in map(describe, map(network.get_output, range(network.num_outputs)))}
    for output in expected:
        one = found.get(output.name)
        if one is None:
            raise BuildRefused(f"output '{output.name}' is missing in the network", "parse")
        sizes = zip(one["shape"], output.shape, strict=False)
        same_shape = len(one["shape"]) == len(output.shape) and all(a == b or min(a, b) < 0 for a, b in sizes)
        if one["dtype"] != output.dtype or not same_shape:
            raise BuildRefused(
                f"the parser reads the node as another: '{output.name}' is {one['dtype']}{one['shape']}"
                f" instead of {output.dtype}{list(output.shape)}",
                "parse",
            )


def describe(tensor: api.Tensor) -> dict[str, Any]:
    """Name, dtype and shape of a network's input or output, as plain JSON; -1 for an open dim."""
    dtype = str(getattr(tensor.dtype, "name", tensor.dtype)).rpartition(".")[2]
    shape = [int(size) for size in tensor.shape]
    return {"name": str(tensor.name), "dtype": _DTYPES.get(dtype, dtype.lower()), "shape": shape}


def _words(library: Library, error: api.ParserError) -> str:
    """What the parser says about a node, in one line.

    It reports an operator it does not know by the condition that failed, "false", and an invalid node by
    its name alone where the reason stands on the next line.
    """
    lines = [line for line in str(error.desc()).splitlines() if line.strip()]
    if lines and lines[0].startswith("Invalid Node") and len(lines) > 1:
        lines = lines[1:]
    text = readable("\n".join(lines))
    if text in ("", "false"):
        return f"{TITLES[library.name]}'s parser has no {error.node_operator()} of this form"
    # "Assertion failed: condition: words", or 'condition && "words"': the words are for people.
    if found := re.search(r'^Assertion failed: .*?\S: (\S.*)$|&& "(.*)"', text):
        return found[1] or found[2]
    return text
