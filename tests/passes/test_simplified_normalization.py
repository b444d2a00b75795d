"""SimplifiedLayerNormalization has no schema, so no rule is proven on it: it is compared here."""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

from graphopt.driver.opt import optimize_model, pipeline
from tests.rules import proof

_TEXT = """<ir_version: 10, opset_import: ["": 23]>
g (float[N, S, 8] x, float[8] g) => (float[N, S, 8] y) {{
  y = SimplifiedLayerNormalization {} (x, g)
}}"""


@pytest.mark.parametrize("attributes", ["", "<axis = -1, epsilon = 0.001, stash_type = 1>", "<axis = 2>"])
def test_it_becomes_what_it_computes(attributes: str) -> None:
    model = ir.from_proto(onnx.parser.parse_model(_TEXT.format(attributes)))
    done = optimize_model(model, pipeline("infer-shapes,standardize-normalizations")).model
    assert [node.op_type for node in done.graph] == ["RMSNormalization"]
    rng = np.random.default_rng(0)
    feeds = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in (("x", (2, 3, 8)), ("g", 8))
    }
    assert proof.is_rounding(proof.run(model, feeds)["y"], proof.run(done, feeds)["y"])
