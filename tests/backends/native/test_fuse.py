"""What becomes one step, and what must not."""

from __future__ import annotations

from graphopt.backends.native.expression import RESULT, walk
from graphopt.backends.native.text import expression_text
from tests.backends.native.plans import only, ops, plan_of


def test_an_elementwise_chain_is_one_step() -> None:
    plan = plan_of(
        """chain (float[4,8] x, float[8] s) => (float[4,8] y) {
             a = Exp (x)  b = Mul (a, s)  c = Sigmoid (b)  y = Add (c, a) }"""
    )
    assert ops(plan) == {"elementwise": 1}
    assert expression_text(only(plan, "elementwise").results[0]) == "add(sigmoid(mul(exp(x), s)), exp(x))"


def test_a_chain_of_unknown_extent_is_one_step_where_its_shape_cannot_change() -> None:
    plan = plan_of(
        """unknown (float[a] x, float[b] z, float s, float[1,1] wide, float[4,8] w, float[n,4] v)
                   => (y, u, p) {
             a = Add (x, z)  b = Exp (a)  y = Mul (b, s)
             c = Mul (x, z)  d = Exp (c)  u = Mul (d, wide)
             m = MatMul (v, w)  p = Mul (s, m) }"""
    )
    # A second dim is added by `wide`: the sums are not its shape.
    assert ops(plan) == {"elementwise": 3, "matmul": 1}
    assert only(plan, "matmul").epilogue is not None


def test_a_value_read_elsewhere_stays() -> None:
    plan = plan_of(
        "kept (float[4] x) => (float[4] y, float[4] z) { a = Exp (x)  y = Neg (a)  z = Softmax (a) }"
    )
    assert ops(plan) == {"elementwise": 2, "softmax": 1}


def test_a_smaller_operand_is_not_recomputed_for_every_element() -> None:
    plan = plan_of("small (float[4,8] x, float[8] s) => (float[4,8] y) { a = Exp (s)  y = Mul (x, a) }")
    assert ops(plan) == {"elementwise": 2}


def test_constants_of_one_element_become_numbers() -> None:
    plan = plan_of(
        """numbers (float[4] x) => (float[4] y, int64[2,1] z) {
             two = Constant <value = float {2.0}> ()
             big = Constant <value = int64[1,1] {9007199254740993}> ()
             column = Constant <value = int64[2,1] {1, 2}> ()
             y = Mul (x, two)
             z = Add (column, big) }"""
    )
    first, second = plan.steps
    assert [part.number for part in walk(first.results) if part.number is not None] == [2.0]
    # No float64 is that number.
    assert len(second.inputs) == 2


def test_a_constant_that_adds_a_dim_stays_an_operand() -> None:
    plan = plan_of(
        """rank (float[4] x) => (float[1,4] y) {
             one = Constant <value = float[1,1] {1.0}> ()
             y = Add (x, one) }"""
    )
    assert len(only(plan, "elementwise").inputs) == 2


def test_activation_and_residual_go_into_the_convolution() -> None:
    plan = plan_of(
        """residual (float[1,4,8,8] x, float[4,4,1,1] w, float[4] b) => (float[1,4,8,8] y) {
             a = Conv (x, w, b)  s = Add (x, a)  r = Relu (s)  y = Conv (r, w) }"""
    )
    assert ops(plan)["elementwise"] == 0
    first = next(step for step in plan.steps if step.op == "conv")
    assert first.epilogue is not None
    assert expression_text(first.epilogue) == "relu(add(x_last, result))"


def test_of_two_convolutions_the_later_one_takes_their_sum() -> None:
    plan = plan_of(
        """both (float[1,4,8,8] x, float[4,4,1,1] w, float[4,4,1,1] v) => (float[1,4,8,8] y) {
             a = Conv (x, w)  b = Conv (x, v)  y = Add (a, b) }"""
    )
    convs = [step for step in plan.steps if step.op == "conv"]
    assert [step.epilogue is None for step in convs] == [True, False]
    assert convs[0].writes()[0] in convs[1].reads()


def test_a_row_added_to_a_product_is_its_bias() -> None:
    plan = plan_of(
        """bias (float[2,3,4] x, float[4,5] w) => (float[2,3,5] y) {
             b = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0]> ()
             a = MatMul (x, w)  s = Add (b, a)  y = Relu (s) }"""
    )
    step = only(plan, "matmul")
    assert [value.name if value else "" for value in step.inputs] == ["x", "w", "b"]
    assert step.epilogue is not None
    assert step.epilogue.arguments == (RESULT,)


def test_a_row_that_is_no_constant_is_an_operand_of_the_epilogue() -> None:
    plan = plan_of(
        "row (float[2,4] x, float[4,5] w, float[5] b) => (float[2,5] y) { a = MatMul (x, w)  y = Add (a, b) }"
    )
    assert len(only(plan, "matmul").inputs) == 2
    assert ops(plan) == {"matmul": 1}


def test_what_is_no_float_stays_behind_the_product() -> None:
    plan = plan_of(
        """compare (float[2,4] x, float[4,4] w) => (bool[2,4] y) { a = MatMul (x, w)  y = Greater (a, x) }"""
    )
    assert ops(plan) == {"matmul": 1, "elementwise": 1}


def test_an_activation_moves_in_front_of_a_view() -> None:
    plan = plan_of(
        """view (float[1,4,8,1] x, float[4,4,1,1] w) => (float[1,4,8] y) {
             axis = Constant <value_ints = [3]> ()
             a = Conv (x, w)  s = Squeeze (a, axis)  y = Gelu (s) }"""
    )
    assert ops(plan)["elementwise"] == 0


def test_an_activation_moves_in_front_of_several_views() -> None:
    plan = plan_of(
        """heads (float[1,4,8,8] x, float[12,4,1,1] w) => (float[1,3,8,8,4] y) {
             shape = Constant <value_ints = [1, 3, 4, 8, 8]> ()
             a = Conv (x, w)  r = Reshape (a, shape)  t = Transpose <perm = [0, 1, 3, 4, 2]> (r)
             y = Sigmoid (t) }"""
    )
    assert ops(plan)["elementwise"] == 0
    assert len({value for step in plan.steps for value in step.writes()}) == len(plan.steps)
    assert only(plan, "conv").epilogue is not None


def test_the_branches_of_an_if_are_fused_too() -> None:
    plan = plan_of(
        """branches (bool c, float[4] x) => (float[4] y) {
             y = If (c) <then_branch = t () => (float[4] p) { a = Exp (x)  p = Neg (a) },
                         else_branch = e () => (float[4] q) { b = Sin (x)  q = Neg (b) }> }"""
    )
    assert ops(plan) == {"if": 1, "elementwise": 2}


def test_steps_nobody_reads_are_dropped() -> None:
    plan = plan_of("unused (float[4] x) => (float[4] y) { a = Exp (x)  b = Softmax (x)  y = Neg (a) }")
    assert ops(plan) == {"elementwise": 1}


def test_a_reduction_takes_the_elementwise_step_along() -> None:
    plan = plan_of(
        """reduced (float[4,8] x, float[8] s) => (float[4] y) {
             axis = Constant <value_ints = [1]> ()
             a = Mul (x, s)  b = Exp (a)  y = ReduceMean <keepdims = 0> (b, axis) }"""
    )
    step = only(plan, "elementwise")
    assert ops(plan) == {"elementwise": 1}
    assert step.attributes == {"reduce": "mean", "axes": (1,), "keepdims": 0}
    assert step.writes()[0].name == "y"


def test_what_is_read_besides_being_reduced_is_written() -> None:
    plan = plan_of(
        """both (float[4,8] x) => (float[4,8] y, float[1,1] z) { y = Exp (x)  z = ReduceSum (y) }"""
    )
    assert ops(plan) == {"elementwise": 1, "reduce": 1}


def test_a_step_remembers_the_nodes_it_computes() -> None:
    plan = plan_of(
        """named (float[2,4] x, float[4,5] w) => (float[2,5] y) {
             a = MatMul (x, w)  b = Sigmoid (a)  c = Mul (a, b)  y = Relu (c) }"""
    )
    assert plan.fused() == {"MatMul_0": ["Relu_3", "Mul_2", "Sigmoid_1"]}


def test_a_bias_added_to_a_product_is_not_scaled_by_its_beta() -> None:
    plan = plan_of(
        """scaled (float[2,3] x, float[3,2] w) => (float[2,2] y) {
             a = Gemm <alpha = 0.5, beta = 2.0> (x, w)
             row = Constant <value_floats = [1.0, 2.0]> ()  y = Add (a, row) }"""
    )
    step = only(plan, "matmul")
    assert len(step.inputs) == 3
    assert step.attributes == {"alpha": 0.5}


def test_what_nobody_reads_needs_no_layout() -> None:
    plan = plan_of(
        "dead (float[1,2,3,3] x) => (float[1,2,3,3] y) { a = Concat <axis = 1> (x, x)  y = Neg (x) }"
    )
    assert ops(plan) == {"elementwise": 1}
