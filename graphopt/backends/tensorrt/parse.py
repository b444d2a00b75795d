"""From ONNX bytes to a TensorRT network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from graphopt.backends.base import RegionRefused
from graphopt.backends.tensorrt.logger import Log, new_log
from graphopt.backends.tensorrt.module import Library
from graphopt.errors import BackendError


@dataclass(frozen=True)
class Parsing:
    """A network under construction; each part keeps the ones before it alive.

    Attributes:
        log: what TensorRT says.
        builder: of the network.
        network: empty until something is parsed.
        parser: fills the network, and owns the weights it refers to.
    """

    log: Log
    builder: Any
    network: Any
    parser: Any


def new_parser(library: Library, *, verbose: bool = False) -> Parsing:
    """An empty strongly typed network and the parser that fills it.

    Raises:
        BackendError: TensorRT cannot be started, as without a GPU where it needs one.
    """
    api = library.api
    log = new_log(library, verbose=verbose)
    try:
        builder = api.Builder(log.handle)
        # Version 11 knows no other networks and ignores the flag.
        network = builder.create_network(1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = api.OnnxParser(network, log.handle)
    except Exception as error:
        said = "; ".join(log.texts("error")) or " ".join(str(error).split())
        raise BackendError(f"{library.title} cannot be started: {said}", "graphopt doctor") from error
    return Parsing(log, builder, network, parser)


def parse(library: Library, data: bytes) -> Parsing:
    """Parse a whole model.

    Raises:
        RegionRefused: with the parser's own words for each node it stumbled over.
    """
    parsing = new_parser(library, verbose=True)
    if parsing.parser.parse(data):
        return parsing
    errors = [parsing.parser.get_error(index) for index in range(parsing.parser.num_errors)]
    reasons: dict[str, str] = {}
    for error in errors:
        if name := str(error.node_name()):
            reasons.setdefault(name, readable(str(error.desc())))
    said = next(iter(reasons.values()), "") or "; ".join(readable(str(e.desc())) for e in errors)
    raise RegionRefused(f"{library.title} does not parse the region: {said}", reasons=reasons)


def readable(text: str) -> str:
    """The first line of what TensorRT said, without the paths and line numbers of its own sources."""
    line = next((part for part in text.splitlines() if part.strip()), text).strip()
    line = re.sub(r"\bIn (node [^:]*: )?\S+ at \S+\.(?:cpp|h|cu|hpp):\d+:?\s*", "", line)
    line = re.sub(r"\(?\S*/\S+\.(?:cpp|h|cu|hpp):\d+\)?", "", line)
    line = re.sub(r"\[\w+\.(?:cpp|h|cu|hpp)::\w+::\d+\]\s*", "", line)
    return " ".join(line.split())
