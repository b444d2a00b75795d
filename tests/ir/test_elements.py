"""What is known of single elements of shape tensors holds for every size of the dims."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphopt.ir import expressions as ex
from graphopt.ir.elements import Elements
from graphopt.ir.expressions import Element, Expression
from tests.ir.shape_programs import Program, feeds_of, programs, run

unhurried = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def value_of(element: Element, sizes: dict[str, int]) -> int | None:
    """The number an element stands for, or None when it is not made of dims alone."""
    if not isinstance(element, Expression):
        return int(element)
    total = 0
    for monomial, factor in element.terms:
        for kind, *words in monomial:
            if kind != "dim" or words[0] not in sizes:
                return None
            factor *= sizes[words[0]]
        total += factor
    return total


@unhurried
@given(program=programs(), n=st.integers(0, 5), m=st.integers(1, 7), seed=st.integers(0, 99))
def test_elements_are_what_the_runtime_computes(program: Program, n: int, m: int, seed: int) -> None:
    model = program.model()
    elements = Elements(model)
    found = {value.name: elements.of(value) for node in model.graph for value in node.outputs}
    computed = run(model, feeds_of(n, m, seed))
    named: dict[Element, int] = {}
    for name, array in computed.items():
        known = found[name]
        if known is None:
            continue
        assert known.shape == array.shape, name
        for element, actual in zip(known.flat, array.flat, strict=True):
            expected = value_of(element, {"N": n, "M": m})
            assert expected is None or expected == int(actual), (name, element)
            # The same expression is the same number, whatever it is made of.
            assert named.setdefault(element, int(actual)) == int(actual), (name, element)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("N", True),
        ("2*N + 1", True),
        ("M*N + N", True),
        ("N - 1", True),
        ("floor(N/2) + 1", True),
        ("3", True),
    ],
)
def test_dims_are_never_negative(text: str, expected: bool) -> None:
    assert ex.at_least(ex.parse(text), 0) is expected


def test_what_polynomials_say_of_one_another():
    n, m = ex.size_of("N"), ex.size_of("M")
    assert ex.add(ex.multiply(n, 2), ex.negate(n)) == n
    assert ex.multiply(ex.add(n, 1), m) == ex.add(ex.multiply(m, n), m)
    assert ex.divide(ex.multiply(ex.multiply(n, m), 6), ex.multiply(m, 2)) == ex.multiply(n, 3)
    assert ex.remainder(ex.multiply(n, 4), 2) == 0
    assert ex.equal(n, -1) is False
    assert ex.equal(n, m) is None
    assert ex.equal(ex.add(n, 1), n) is False
    assert ex.less(n, ex.add(n, 1)) is True
    assert ex.less(ex.add(n, 1), n) is False
    assert ex.less(n, 5) is None
    assert ex.parse("2*N + M") == ex.add(ex.multiply(n, 2), m)
    assert ex.divide(-7, 2) == -3
    assert ex.divide(n, 0) == ex.divide(n, 0)


def test_an_unnamed_dim_is_itself_and_nothing_else():
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (float[2] x) => (int64[1] a, int64[1] b, int64[1] c) {
          f = NonZero(x) h = NonZero(x) a = Shape<start=1>(f) b = Shape<start=1>(f) c = Shape<start=1>(h)
        }"""
    )
    for node in model.graph:
        if node.op_type == "NonZero":
            node.outputs[0].shape = ir.Shape([1, None])
            node.outputs[0].type = ir.TensorType(ir.DataType.INT64)
    elements = Elements(model)
    a, b, c = (elements.of(value) for value in model.graph.outputs)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_numbers_that_do_not_fit_their_type_are_not_known():
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21]>
        g () => (int32 y, int64 z) <int32 a = {2000000000}, int64 b = {2000000000}>
        { y = Add(a, a) z = Add(b, b) }"""
    )
    for value in model.graph.outputs:
        value.shape = ir.Shape([])
    elements = Elements(model)
    y, z = (elements.of(value) for value in model.graph.outputs)
    assert isinstance(y.item(), Expression)
    assert z.item() == 4_000_000_000
