"""Matrix products."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.backends.native.lower.context import Context, Refusal, integer, rank_of, real, text
from graphopt.backends.native.lower.movement import Lowering
from graphopt.backends.native.plan import Dims, Value


def lower_mat_mul(node: ir.Node, ctx: Context) -> None:
    """``matmul`` as numpy has it."""
    ctx.emit(node, "matmul", ctx.inputs(node), [ctx.output(node)])


def lower_gemm(node: ir.Node, ctx: Context) -> None:
    """``matmul`` of matrices with everything Gemm adds."""
    attributes: dict[str, int | float] = {}
    for ours, onnx_name in (("trans_a", "transA"), ("trans_b", "transB")):
        if integer(node, onnx_name, 0):
            attributes[ours] = 1
    for name in ("alpha", "beta"):
        if (factor := real(node, name, 1.0)) != 1.0:
            attributes[name] = factor
    ctx.emit(node, "matmul", ctx.inputs(node), [ctx.output(node)], attributes)


def lower_einsum(node: ir.Node, ctx: Context) -> None:
    """Two tensors: transposes around one batched ``matmul``; one tensor: a sum and a transpose."""
    sources, result = _parse(text(node, "equation", ""), [rank_of(ctx.value(v)) for v in node.inputs])
    if any(len(set(s)) != len(s) for s in sources):
        raise Refusal("its einsum has no diagonals")
    if len(sources) == 1:
        _one(node, ctx, sources[0], result)
    elif len(sources) == 2:
        _two(node, ctx, sources, result)
    else:
        raise Refusal("its einsum takes one or two tensors")


def _parse(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The indices of each operand and of the result; those of an ellipsis are spelled by capital letters."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise Refusal("its einsum has other operands than its equation")
    most = max(
        (rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=True) if "..." in t),
        default=0,
    )
    spare = [c for c in "ZYXWVUTSRQPO" if c not in equation][:most][::-1]
    found = []
    for term, rank in zip(terms, ranks, strict=True):
        covered = rank - len(term.replace("...", ""))
        if "..." in term and covered < most:
            raise Refusal("the ellipses of its einsum cover as many dims everywhere")
        found.append(term.replace("...", "".join(spare)))
        if len(found[-1]) != rank:
            raise Refusal("its einsum has other ranks than its equation")
    if not arrow:
        letters = "".join(found)
        right = ("..." if spare else "") + "".join(
            sorted(c for c in set(letters) if letters.count(c) == 1 and c not in spare)
        )
    return found, right.replace("...", "".join(spare))


def _one(node: ir.Node, ctx: Context, source: str, result: str) -> None:
    value = ctx.value(node.inputs[0])
    kept = "".join(c for c in source if c in result)
    output = ctx.output(node)
    if kept != source:
        target = (
            output
            if kept == result
            else ctx.intermediate(f"{node.name}_sum", value, _pick(value, source, kept))
        )
        axes = tuple(i for i, c in enumerate(source) if c not in result)
        ctx.emit(node, "reduce", [value], [target], {"kind": "sum", "axes": axes, "keepdims": 0})
        value = target
    if kept != result or kept == source:
        perm = tuple(kept.index(c) for c in result)
        ctx.emit(node, "transpose", [value], [output], {"perm": perm})


def _two(node: ir.Node, ctx: Context, sources: list[str], result: str) -> None:
    a, b = (ctx.value(v) for v in node.inputs)
    left, right = sources
    batch = [c for c in result if c in left and c in right]
    rows = [c for c in result if c in left and c not in right]
    columns = [c for c in result if c in right and c not in left]
    inner = [c for c in left if c in right and c not in result]
    if any(c not in right and c not in result for c in left) or any(
        c not in left and c not in result for c in right
    ):
        raise Refusal("its einsum sums no index of one operand alone")
    if len(rows) > 1 or len(columns) > 1 or len(inner) > 1:
        raise Refusal("its einsum has one index each for rows, columns and sums")
    # Missing rows, columns or sums are dims of one, which disappear again behind the product.
    first = _arranged(node, ctx, a, left, batch, rows, inner)
    second = _arranged(node, ctx, b, right, batch, inner, columns)
    order = [*batch, *rows, *columns]
    squeezed = [axis for axis, found in ((-2, rows), (-1, columns)) if not found]
    dims = dict(zip(left + right, (*_dims(a), *_dims(b)), strict=True))
    product_dims: Dims = (
        *(dims[c] for c in batch),
        *((dims[rows[0]] if rows else 1),),
        *((dims[columns[0]] if columns else 1),),
    )
    output = ctx.output(node)
    permuted = "".join(order) != result
    product = (
        output if not squeezed and not permuted else ctx.intermediate(f"{node.name}_product", a, product_dims)
    )
    ctx.emit(node, "matmul", [first, second], [product])
    if squeezed:
        target = (
            output if not permuted else ctx.intermediate(f"{node.name}_flat", a, [dims[c] for c in order])
        )
        ctx.emit(node, "squeeze", [product], [target], {"axes": tuple(squeezed)})
        product = target
    if permuted:
        perm = tuple(order.index(c) for c in result)
        ctx.emit(node, "transpose", [product], [output], {"perm": perm})


def _arranged(
    node: ir.Node,
    ctx: Context,
    value: Value,
    letters: str,
    batch: list[str],
    rows: list[str],
    columns: list[str],
) -> Value:
    """A view of one operand as [batch…, row, column], dims of one where there is no such index."""
    order = [*batch, *rows, *columns]
    if "".join(order) != letters:
        turned = ctx.intermediate(f"{value.name}_turned", value, _pick(value, letters, "".join(order)))
        ctx.emit(node, "transpose", [value], [turned], {"perm": tuple(letters.index(c) for c in order)})
        value = turned
    missing = [axis for axis, found in ((-2, rows), (-1, columns)) if not found]
    if missing:
        dims = list(_dims(value))
        for axis in missing:
            dims.insert(len(dims) + 1 + axis, 1)
        grown = ctx.intermediate(f"{value.name}_grown", value, dims)
        ctx.emit(node, "unsqueeze", [value], [grown], {"axes": tuple(missing)})
        value = grown
    return value


def _dims(value: Value) -> Dims:
    rank_of(value)
    assert value.dims is not None
    return value.dims


def _pick(value: Value, letters: str, order: str) -> Dims:
    return tuple(_dims(value)[letters.index(c)] for c in order)


LINEAR: dict[str, Lowering] = {
    "Einsum": lower_einsum,
    "Gemm": lower_gemm,
    "MatMul": lower_mat_mul,
}
