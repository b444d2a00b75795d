"""Attributes of a node against those a pattern writes, the schema's defaults included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.rewrite import opfacts
from graphopt.rewrite.syntax import AttrRef, AttrValue, Call


def attribute_mismatch(call: Call, node: ir.Node, opset: int) -> str | None:
    """Why the attributes of ``node`` are not those ``call`` writes, bindings aside; None when they are.

    What the call does not write must have its default, unless ``**attrs`` takes it.
    """
    written = dict(call.attributes)
    for name, wanted in written.items():
        if isinstance(wanted, AttrRef):
            continue
        found = effective(node, name, opset)
        if found is None:
            return f"{node.op_type} has no attribute {name}"
        if found.is_ref():
            return f"attribute {name} is a parameter of the function"
        if not same_value(plain(found), wanted):
            return f"attribute {name} of {node.op_type} is {_show(plain(found))}, not {_show(wanted)}"
    if call.rest is not None:
        return None
    for name, attribute in node.attributes.items():
        if name in written:
            continue
        default = opfacts.defaults(node.domain, node.op_type, opset).get(name)
        if attribute.is_ref() or default is None or not same_value(plain(attribute), plain(default)):
            return f"{node.op_type} has attribute {name}"
    return None


def bind_attributes(call: Call, node: ir.Node, opset: int, bound: dict[str, object]) -> str | None:
    """Bind ``@names`` and ``**attrs`` of ``call`` in ``bound``; why they disagree, or None.

    A name is bound to the plain value, the schema's default when the node leaves it out, and None
    when there is no default either.
    """
    for name, wanted in call.attributes:
        if not isinstance(wanted, AttrRef):
            continue
        found = effective(node, name, opset)
        if found is not None and found.is_ref():
            return f"attribute {name} is a parameter of the function"
        value = None if found is None else plain(found)
        if wanted.name in bound and not same_value(bound[wanted.name], value):
            return f"attribute {name} is {_show(value)}, but @{wanted.name} is {_show(bound[wanted.name])}"
        bound[wanted.name] = value
    if call.rest is None:
        return None
    written = dict(call.attributes)
    rest = tuple(attribute for name, attribute in node.attributes.items() if name not in written)
    if call.rest in bound and bound[call.rest] != rest:
        return f"the attributes differ from **{call.rest}"
    bound[call.rest] = rest
    return None


def effective(node: ir.Node, name: str, opset: int) -> ir.Attr | None:
    """The attribute as given, else the schema's default, else None."""
    given = node.attributes.get(name)
    return given if given is not None else opfacts.defaults(node.domain, node.op_type, opset).get(name)


def plain(attribute: ir.Attr) -> object:
    """The value as Python has it: numbers, text, tuples; other kinds as they are."""
    value = attribute.value
    return tuple(value) if isinstance(value, (list, tuple)) else value


def make_attribute(name: str, value: AttrValue | object) -> ir.Attr:
    """An attribute from a plain value; an empty tuple is a list of integers.

    Raises:
        TypeError: the value is of no attribute type.
    """
    if isinstance(value, ir.Attr):
        return ir.Attr(name, value.type, value.value)
    if isinstance(value, (bool, int, np.integer)):
        return ir.AttrInt64(name, int(value))
    if isinstance(value, (float, np.floating)):
        return ir.AttrFloat32(name, float(value))
    if isinstance(value, str):
        return ir.AttrString(name, value)
    if isinstance(value, ir.TensorProtocol):
        return ir.AttrTensor(name, value)
    if isinstance(value, (tuple, list)):
        return _list_attribute(name, value)
    raise TypeError(f"attribute {name}: {type(value).__name__} is of no attribute type")


def _list_attribute(name: str, items: Sequence[object]) -> ir.Attr:
    if all(isinstance(item, str) for item in items) and items:
        return ir.AttrStrings(name, [str(item) for item in items])
    numbers = [item for item in items if isinstance(item, (int, float, np.integer, np.floating))]
    if len(numbers) < len(items):
        raise TypeError(f"attribute {name}: a list of numbers or of text is needed")
    if any(isinstance(item, (float, np.floating)) for item in numbers):
        return ir.AttrFloat32s(name, [float(item) for item in numbers])
    return ir.AttrInt64s(name, [int(item) for item in numbers])


def same_value(a: object, b: object) -> bool:
    """Equality as a protobuf sees it: floats in single precision, an integer written for a float."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same_value(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or bool(np.float32(a) == np.float32(b))
    return type(a) is type(b) and a == b


def _show(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else repr(value)
