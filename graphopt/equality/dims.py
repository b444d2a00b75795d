"""Sizes to try for the dims a model leaves open."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.equality.flow import constant
from graphopt.equality.roles import Kind, Role

Sizes = Mapping[str, int]
"""Dim variable → size."""

_BATCH = (1, 2, 4)
_CHANNELS = (3, 1, 4, 2)
_SPATIAL = (64, 96, 128, 48, 32, 224, 160, 192, 256, 320, 384, 416, 512, 640)
_SEQUENCE = (16, 8, 32, 64, 7, 128, 4, 1, 77, 256, 512, 2, 3)
_SIGNAL = (1600, 512, 1024, 480, 400, 2048, 4096, 8000, 16000, 160, 48000)
_PAST = (4, 8, 16, 1)
_FEATURES = (16, 8, 4, 32, 64, 10, 3, 2, 1, 128, 80, 256, 512, 768)
_MOST_TRIES = 160
_MOST_CONSTANTS = 24


@dataclass(frozen=True)
class Variable:
    """One open dim.

    Attributes:
        name: shared by equal dims.
        sizes: candidates, the likeliest first.
        group: variables of one group (height and width) are also moved together.
    """

    name: str
    sizes: tuple[int, ...]
    group: str = ""


@dataclass(frozen=True)
class DimPlan:
    """The open dims of a model's inputs.

    Attributes:
        variables: what may be chosen.
        shapes: input → per axis a size, a variable, or an expression over variables.
    """

    variables: tuple[Variable, ...]
    shapes: Mapping[str, tuple[int | str, ...]]

    def shape(self, name: str, sizes: Sizes) -> tuple[int, ...]:
        """The dims of one input under a choice of sizes."""
        return tuple(d if isinstance(d, int) else _evaluate(d, sizes) for d in self.shapes[name])

    def assignments(self) -> Iterator[dict[str, int]]:
        """Choices of sizes, the likeliest first: one variable or group moved, then pairs, at most 160."""
        seen: set[tuple[int, ...]] = set()
        for choice in itertools.islice(self._moves(), 20 * _MOST_TRIES):
            sizes = {
                v.name: v.sizes[min(i, len(v.sizes) - 1)] for v, i in zip(self.variables, choice, strict=True)
            }
            key = tuple(sizes.values())
            if key in seen:
                continue
            seen.add(key)
            yield sizes
            if len(seen) >= _MOST_TRIES:
                return

    def _moves(self) -> Iterator[tuple[int, ...]]:
        base = (0,) * len(self.variables)
        yield base
        steps = list(self._steps())
        yield from steps
        for one, other in sorted(itertools.combinations(steps, 2), key=lambda pair: sum(map(sum, pair))):
            yield tuple(map(max, one, other))

    def _steps(self) -> Iterator[tuple[int, ...]]:
        """Every group, then every single variable, moved to each of its candidates."""
        groups = {v.group for v in self.variables if v.group}
        longest = max((len(v.sizes) for v in self.variables), default=0)
        for rank in range(1, longest):
            for group in sorted(groups):
                yield tuple(rank if v.group == group else 0 for v in self.variables)
            for index, variable in enumerate(self.variables):
                if rank < len(variable.sizes):
                    yield tuple(rank if i == index else 0 for i in range(len(self.variables)))


def plan_dims(model: ir.Model, roles: Sequence[Role]) -> DimPlan:
    """Find the open dims of the inputs and the sizes worth trying."""
    constants = _constants(model)
    variables: dict[str, Variable] = {}
    shapes: dict[str, tuple[int | str, ...]] = {}
    for role in roles:
        required = dict(role.required)
        dims: list[int | str] = []
        for axis, dim in enumerate(role.port.dims or ()):
            if isinstance(dim, int):
                dims.append(dim)
                continue
            name = dim if dim is not None else f"{role.port.name}.{axis}"
            names = _names(name)
            for part in names or (name,):
                known = required.get(axis, ()) if not names else ()
                found = Variable(part, known or _sizes(role, axis, part, constants), _group(role, axis))
                if part not in variables or known:
                    variables[part] = found
            dims.append(name)
        shapes[role.port.name] = tuple(dims)
    return DimPlan(tuple(variables.values()), shapes)


def _group(role: Role, axis: int) -> str:
    return role.port.name if role.kind is Kind.IMAGE and axis not in (0, role.channels) else ""


def _sizes(role: Role, axis: int, name: str, constants: Sequence[int]) -> tuple[int, ...]:
    rank = len(role.port.dims or ())
    lower = name.lower()
    if "past" in lower or "cache" in lower:
        return _PAST
    if (
        "batch" in lower
        or (axis == 0 and role.port.dims and rank > 1)
        or (rank == 1 and role.kind is Kind.POSITIVE)
    ):
        return _BATCH
    if role.kind is Kind.STATE and axis == 1 and role.port.dims and role.port.dims[1] is None:
        return _BATCH
    return tuple(dict.fromkeys((*_likely(role, axis, rank, lower), *constants)))


def _likely(role: Role, axis: int, rank: int, name: str) -> tuple[int, ...]:
    if role.kind is Kind.IMAGE:
        return _CHANNELS if axis == role.channels and rank == 4 else _SPATIAL
    if role.kind in (Kind.INDEX, Kind.MASK, Kind.BIAS) or any(
        w in name for w in ("seq", "len", "time", "token")
    ):
        return _SEQUENCE
    if role.kind is Kind.AUDIO:
        return _SIGNAL
    if rank >= 4 and axis >= 2:
        return _SPATIAL
    if rank == 2 and axis == 1:
        return (*_FEATURES, *_SIGNAL)
    return _FEATURES if axis == rank - 1 else _SEQUENCE


def _constants(model: ir.Model) -> tuple[int, ...]:
    """Sizes the graph itself computes with: in reshapes, slices and other integer arithmetic."""
    found: dict[int, int] = {}
    for node in model.graph.all_nodes():
        if node.op_type not in (
            "Reshape",
            "Slice",
            "Concat",
            "Resize",
            "Expand",
            "Split",
            "Add",
            "Mul",
            "Equal",
        ):
            continue
        for value in node.inputs:
            tensor = constant(value)
            if (
                tensor is None
                or tensor.size > 8
                or tensor.dtype not in (ir.DataType.INT64, ir.DataType.INT32)
            ):
                continue
            for number in tensor.numpy().reshape(-1).tolist():
                if 3 <= number <= 100_000:
                    found[int(number)] = found.get(int(number), 0) + 1
    common = sorted(found, key=lambda number: (-found[number], number))[:_MOST_CONSTANTS]
    return tuple(common)


def _names(expression: str) -> tuple[str, ...]:
    """The variables of a dim such as ``past_length + 1``; empty when it is a plain name."""
    tree = _parse(expression)
    if tree is None or isinstance(tree, ast.Name):
        return ()
    return tuple(dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)))


def _parse(expression: str) -> ast.expr | None:
    try:
        tree = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    allowed = (ast.BinOp, ast.Name, ast.Constant, ast.Load, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Div)
    return tree if all(isinstance(node, allowed) for node in ast.walk(tree)) else None


def _evaluate(expression: str, sizes: Sizes) -> int:
    if expression in sizes:
        return sizes[expression]
    tree = _parse(expression)
    assert tree is not None
    return max(1, _value(tree, sizes))


def _value(node: ast.expr, sizes: Sizes) -> int:
    if isinstance(node, ast.Name):
        return sizes[node.id]
    if isinstance(node, ast.Constant):
        return int(node.value) if isinstance(node.value, int) else 1
    assert isinstance(node, ast.BinOp)
    left, right = _value(node.left, sizes), _value(node.right, sizes)
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult):
        return left * right
    return left // right if right else 1
