"""Turn ONNX Runtime's exceptions into one-line messages that name the node."""

from __future__ import annotations

import re

_STATUS = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_RUNNING = re.compile(
    r"Non-zero status code returned while running (\S+) node\. Name:'([^']*)' Status Message: "
)
_IN_NODE = re.compile(
    r'This is an invalid model\. In Node, \("([^"]*)", (\S+), "([^"]*)", -?\d+\).*?, Error ', re.S
)
# Where in the runtime it happened: a path, the function's signature, the condition that was violated.
_SOURCES = (
    re.compile(r"/\S+\.(?:cc|h|cpp|hpp):\d+ .*? was false\. ", re.S),
    re.compile(r"/\S+\.(?:cc|h|cpp|hpp):\d+ .*?\) (?:const )?(?:\[with [^\]]*\] )?", re.S),
    re.compile(r"\b\w+\.(?:cc|h|cpp|hpp):\d+ \w+ "),
)
_MAX_LENGTH = 400
_NEXT_STEPS = (
    (
        "is not a registered function/op",
        "export without this operator, or give the model a function of its name",
    ),
    ("Type Error:", "export the model again: it does not fit the ONNX standard"),
)
"""What the runtime says → what a person can do about it."""


def one_line(error: Exception) -> str:
    """The cause in one line: ``node 'name' (Op): what happened``, source locations of the runtime removed."""
    text = _STATUS.sub("", str(error).strip())
    where = ""
    if found := _RUNNING.search(text):
        where, text = _node(found[2], found[1]), text[found.end() :]
    elif found := _IN_NODE.search(text):
        where, text = _node(found[1], found[2]), text[found.end() :]
    for source in _SOURCES:
        text = source.sub("", text)
    text = re.sub(r"\s+", " ", text).strip().rstrip(".")
    if len(text) > _MAX_LENGTH:
        text = text[:_MAX_LENGTH].rsplit(" ", 1)[0] + " …"
    return where + (text or type(error).__name__)


def next_step(text: str) -> str:
    """What to do about a refusal, as far as its text tells; empty where it does not."""
    return next((step for sign, step in _NEXT_STEPS if sign in text), "")


def _node(name: str, op_type: str) -> str:
    return f"node '{name}' ({op_type}): " if name else f"a {op_type} node: "
