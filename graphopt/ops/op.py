"""NamedOp: an operator of graphopt's own, as an ONNX function whose body is its specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import onnx.defs
import onnx.parser
import onnx_ir as ir

from graphopt.errors import UsageError

DOMAIN = "graphopt"
"""The domain of every named operator."""

Default = int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class NamedOp:
    """A fused operator that ONNX has no name for.

    A backend with a kernel claims the node by its name; any other gets the body. Arity is fixed, because
    an omitted input of a function is not portable: a variant with a bias is an operator of its own.

    Args:
        name: the operator's name.
        inputs: names of the inputs, as the body uses them.
        outputs: names of the outputs.
        body_text: the nodes in ONNX text; ``@alpha`` reads an attribute. It works for every
            floating-point type: constants follow their neighbour by CastLike.
        min_opset: the oldest version of the standard operators that has all the body uses.
        doc: the formula, in one sentence.
        attributes: names with their defaults.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body_text: str
    min_opset: int
    doc: str
    attributes: Mapping[str, Default] = field(default_factory=dict)

    @property
    def identifier(self) -> ir.OperatorIdentifier:
        """Domain, name and (empty) overload: what a model's functions are listed under."""
        return (DOMAIN, self.name, "")

    @cached_property
    def standard_ops(self) -> frozenset[str]:
        """The standard operators the body uses."""
        return frozenset(node.op_type for node in self.function(self.min_opset))

    def function(self, opset: int) -> ir.Function:
        """A fresh function for a model at version ``opset`` of the standard operators.

        Raises:
            UsageError: the body needs a newer version.
        """
        if opset < self.min_opset:
            raise UsageError(f"{DOMAIN}.{self.name} needs opset {self.min_opset}, the model has {opset}")
        made = ir.serde.deserialize_function(onnx.parser.parse_function(self.text(opset)))
        made.doc_string = self.doc
        for number, node in enumerate(made, start=1):
            node.name = f"{node.op_type}_{number}"  # as every node of a canonical model has one
        return made

    def text(self, opset: int) -> str:
        """The function in ONNX's text format."""
        attributes = ", ".join(f"{name}: {_declare(value)}" for name, value in self.attributes.items())
        return (
            f'<domain: "{DOMAIN}", opset_import: ["": {opset}]>\n'
            f"{self.name} {f'<{attributes}> ' if attributes else ''}({', '.join(self.inputs)}) "
            f"=> ({', '.join(self.outputs)}) {{\n{self.body_text}\n}}"
        )

    def __hash__(self) -> int:
        return hash(self.name)


def _declare(value: Default) -> str:
    """Type and default of an attribute as ONNX text has them."""
    if isinstance(value, str):
        return f'string = "{value}"'
    if isinstance(value, tuple):
        return f"ints = {list(value)}"
    return f"int = {value}" if isinstance(value, int) else f"float = {value!r}"
