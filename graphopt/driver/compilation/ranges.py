"""The sizes that open dims of a model may take: what optimisation profiles are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphopt.errors import UsageError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.ir.shape_spec import ShapeSpec

    Shapes = Sequence[str] | Mapping[str, Sequence[int | str]]


@dataclass(frozen=True)
class Ranges:
    """The shapes the inputs of a model may have; empty when all of them are fixed.

    Attributes:
        least: input → smallest shape, of every input with open dims.
        usual: the shape to build for.
        most: largest shape.
    """

    least: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    usual: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    most: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.usual)

    def to_json(self) -> dict[str, dict[str, list[int]]]:
        """Input → its three shapes, as plain JSON types."""
        names = ("least", "usual", "most")
        return {n: {which: list(getattr(self, which)[n]) for which in names} for n in self.usual}


def shape_specs(
    model: ir.Model,
    shapes: Shapes | None = None,
    least: Shapes | None = None,
    usual: Shapes | None = None,
    most: Shapes | None = None,
) -> dict[str, ShapeSpec]:
    """What a person said about the shapes of inputs, in one record per input.

    Args:
        model: as imported.
        shapes: fixed ones, names, or ``smallest/usual/largest`` in one.
        least: smallest ones, as texts or ``{input: dims}``.
        usual: those to build for; alone they are the only ones.
        most: largest ones; alone, open dims begin at 1.

    Raises:
        UsageError: an input that does not exist or is given twice, another rank, or shapes that are not
            in the order smallest, usual, largest.
    """
    specs = _specs(model, shapes)
    low, mid, high = (_numbers(_specs(model, given)) for given in (least, usual, most))
    for name in dict.fromkeys((*low, *mid, *high)):
        if name in specs:
            raise UsageError(f"the shape of input {name!r} is given twice", "give --shape or a range")
        specs[name] = _range(model, name, low.get(name), mid.get(name), high.get(name))
    return specs


def model_ranges(model: ir.Model, specs: Mapping[str, ShapeSpec]) -> Ranges:
    """The ranges of every input with open dims.

    Args:
        model: with the numbers of ``specs`` set.
        specs: of ``shape_specs``.

    Raises:
        UsageError: nothing says how large an open dim may be, two inputs that share a dim disagree, or a
            range contradicts a size that the model fixes.
    """
    sizes: dict[str, tuple[int, int, int]] = {}
    for name, spec in specs.items():
        if spec.lowest is not None and spec.usual is not None and spec.highest is not None:
            dims = _shape_of(model, name)
            for dim, size in zip(dims, zip(spec.lowest, spec.usual, spec.highest, strict=True), strict=True):
                if isinstance(dim, int) and {*size} != {dim}:
                    raise UsageError(
                        f"an axis of input {name!r} is {dim} in the model, and its range goes from "
                        f"{size[0]} to {size[2]}",
                        "give the model's own size there, or export the model with that axis open",
                    )
                if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
                    raise UsageError(
                        f"'{dim}' of input {name!r} is given two ranges",
                        "inputs that share a dim's name must agree on it",
                    )
    hint = _hint(model)
    open_inputs = {
        value.name or "": _bound(value, sizes, hint)
        for value in model.graph.inputs
        if _goes_into_engines(value) and (value.shape is None or not value.shape.is_static())
    }
    least, usual, most = ({n: tuple(d[i] for d in dims) for n, dims in open_inputs.items()} for i in range(3))
    return Ranges(least, usual, most)


def _specs(model: ir.Model, shapes: Shapes | None) -> dict[str, ShapeSpec]:
    from graphopt.ir.shape_spec import ShapeSpec, parse_shape_specs

    if not shapes:
        return {}
    if isinstance(shapes, Mapping):
        return {name: d if isinstance(d, ShapeSpec) else ShapeSpec(tuple(d)) for name, d in shapes.items()}
    return parse_shape_specs(shapes, model)


def _numbers(specs: Mapping[str, ShapeSpec]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for name, spec in specs.items():
        numbers = tuple(d for d in spec.dims if isinstance(d, int))
        if len(numbers) != len(spec.dims):
            raise UsageError(f"the range of input {name!r} has dims that are no numbers", "give every dim")
        found[name] = numbers
    return found


def _range(
    model: ir.Model,
    name: str,
    low: tuple[int, ...] | None,
    mid: tuple[int, ...] | None,
    high: tuple[int, ...] | None,
) -> ShapeSpec:
    from graphopt.ir.shape_spec import ShapeSpec

    if high is None and low is not None:
        raise UsageError(f"input {name!r} has a smallest shape and no largest", "add --max-shapes")
    if high is None:
        assert mid is not None
        return ShapeSpec(mid)
    if low is None:
        dims = _shape_of(model, name) or high
        low = tuple(d if isinstance(d, int) else 1 for d in dims)
    mid = high if mid is None else mid
    if not len(low) == len(mid) == len(high):
        raise UsageError(f"the shapes of input {name!r} differ in rank", "give every dim in each")
    if not all(a <= b <= c for a, b, c in zip(low, mid, high, strict=True)):
        raise UsageError(f"the shapes of input {name!r} are not in the order smallest, usual, largest")
    return ShapeSpec(tuple(a if a == c else None for a, c in zip(low, high, strict=True)), low, mid, high)


def _shape_of(model: ir.Model, name: str) -> tuple[Any, ...]:
    for value in model.graph.inputs:
        if value.name == name:
            return tuple(d if isinstance(d, int) else d.value for d in value.shape or ())
    names = ", ".join(value.name or "" for value in model.graph.inputs)
    raise UsageError(f"the model has no input {name!r}", f"its inputs: {names or 'none'}")


def _goes_into_engines(value: ir.Value) -> bool:
    """Whether an engine may take the input: sequences, optionals and texts go elsewhere in any case."""
    import onnx_ir as ir

    plain = isinstance(value.type, ir.TensorType) and value.dtype != ir.DataType.STRING
    return plain and not value.is_initializer()


def _hint(model: ir.Model) -> str:
    """The options that help, spelled for this model with sizes that are usual."""
    from graphopt.driver.shapes import guess_dims

    shapes = {
        value.name or "": [
            d if isinstance(d, int) else guess or 1
            for d, guess in zip(value.shape or (), guesses, strict=True)
        ]
        for value in model.graph.inputs
        if (guesses := guess_dims(model).get(value.name or "")) is not None
    }
    unknown = [
        value.name for value in model.graph.inputs if _goes_into_engines(value) and value.shape is None
    ]
    spelled = " ".join(
        [f"--shape {name}:DIMS" for name in unknown]
        + [f"--shape {name}:{'x'.join(map(str, dims))}" for name, dims in shapes.items()]
    )
    return f"{spelled}, or a range with --min-shapes, --opt-shapes and --max-shapes"


def _bound(
    value: ir.Value, sizes: Mapping[str, tuple[int, int, int]], hint: str
) -> list[tuple[int, int, int]]:
    if value.shape is None:
        raise UsageError(f"input '{value.name}' has an unknown rank, and an engine needs its shape", hint)
    found: list[tuple[int, int, int]] = []
    for axis, dim in enumerate(value.shape):
        if isinstance(dim, int):
            found.append((dim, dim, dim))
            continue
        bound = _evaluated(dim, sizes)
        if bound is None:
            what = f"axis {axis} of input '{value.name}' is open"
            raise UsageError(f"{what}, and an engine needs to know how large it may be", hint)
        found.append(bound)
    return found


def _evaluated(dim: ir.SymbolicDim, sizes: Mapping[str, tuple[int, int, int]]) -> tuple[int, int, int] | None:
    """Smallest, usual and largest value of a dim, or None when it depends on something not given."""
    found = [evaluate(dim, {name: size[i] for name, size in sizes.items()}) for i in range(3)]
    low, mid, high = found
    if low is None or mid is None or high is None:
        return None
    return min(low, mid, high), mid, max(low, mid, high)


def evaluate(dim: ir.SymbolicDim, sizes: Mapping[str, int]) -> int | None:
    """The size of a dim, a name or an expression, for sizes of names; None when some name has none."""
    if dim.value is None:
        return None
    if dim.value in sizes:
        return sizes[dim.value]
    if not dim.free_symbols() <= sizes.keys():
        return None
    size = dim.evaluate(sizes)
    return size if isinstance(size, int) and size >= 0 else None


def dim_sizes(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Name of each dim → its size, when the inputs have ``shapes``."""
    found: dict[str, int] = {}
    for name, extents in shapes.items():
        for dim, size in zip(_shape_of(model, name), extents, strict=True):
            if isinstance(dim, str):
                found.setdefault(dim, size)
    return found
