"""Movement operators whose steps the executor removes: views, and concats made in place."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt import _kernels
from graphopt.backends.native.plan_file import write_plan
from tests.backends.native.plans import plan_of


@pytest.mark.parametrize("isa", _kernels.supported_isas())
def test_a_part_of_a_concat_that_moves_into_another_one(isa: str) -> None:
    # `joined` is made inside `twice`, which is made inside `all`; `all` also copies a view of `joined`.
    program = plan_of("""
        g (float[5] x) => (float[2,60] y)
        <int64[2] sizes = {5, 15}, int64[2] shape = {2, 60}> {
            joined = Concat<axis=0>(x, x, x, x)
            twice = Concat<axis=0>(x, joined, joined)
            first, rest = Split<axis=0>(joined, sizes)
            all = Concat<axis=0>(twice, rest)
            y = Expand(all, shape)
        }
    """)
    x = np.arange(1, 6, dtype=np.float32)
    plan = _kernels.Plan(write_plan(program), None, isa=isa)
    for _ in range(2):
        np.testing.assert_array_equal(plan.run({"x": x})["y"], np.tile(x, (2, 12)))
