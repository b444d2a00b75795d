"""Weights become inputs wherever they stand, and the lifted model computes the same bits."""

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.equality.jittered import JitteredModel
from graphopt.equality.lift import inlined, lift
from tests.equality.models import floats, model, perceptron, unoptimised


def test_only_float_weights_above_eight_elements_are_lifted():
    lifted = lift(inlined(perceptron()))
    assert set(lifted.fed) == {"w1", "b1", "w2"}
    assert [v.name for v in lifted.model.graph.inputs] == ["x", "w1", "b1", "w2"]


def test_lifted_model_gives_the_same_bits():
    original = perceptron()
    x = floats(4, 32, seed=9)
    plain = unoptimised(original).run({"x": x})
    assert JitteredModel(original, unoptimised).run({"x": x})["y"].tobytes() == plain["y"].tobytes()
    assert len(original.graph.inputs) == 1, "the original must not change"


def test_weights_of_branches_and_constant_nodes_are_lifted():
    proto = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 20]> m (float[N, 16] x, bool[1] flag) => (float[N, 16] y) {
            y = If(flag) <
                then_branch = t () => (float[N, 16] a) { a = MatMul(x, wt) },
                else_branch = e () => (float[N, 16] b) { b = MatMul(x, we) }
            >
        }"""
    )
    branches = {attr.name: attr.g for attr in proto.graph.node[0].attribute}
    branches["then_branch"].initializer.append(onnx.numpy_helper.from_array(floats(16, 16), "wt"))
    weight = onnx.numpy_helper.from_array(floats(16, 16, seed=1))
    branches["else_branch"].node.insert(0, onnx.helper.make_node("Constant", [], ["we"], value=weight))
    original = ir.from_proto(proto)
    assert len(lift(inlined(original)).fed) == 2
    for flag in (False, True):
        feeds = {"x": floats(2, 16, seed=5), "flag": np.array([flag])}
        plain = unoptimised(original).run(feeds)
        assert JitteredModel(original, unoptimised).run(feeds)["y"].tobytes() == plain["y"].tobytes()


def test_weights_of_functions_are_lifted():
    numbers = ", ".join(str(v) for v in floats(16))
    text = f"""<ir_version: 9, opset_import: ["" : 20, "local" : 1]>
    m (float[N, 16] x) => (float[N, 16] y) <float[16] b = {{{numbers}}}> {{ y = local.scale(x, b) }}
    <domain: "local", opset_import: ["" : 20]> scale (a, b) => (c) {{ c = Mul(a, b) }}
    """
    lifted = lift(inlined(ir.from_proto(onnx.parser.parse_model(text))))
    assert list(lifted.fed) == ["b"]


def test_what_reaches_a_shape_or_an_index_stays():
    original = model(
        """m (float[10] sizes, float[N, 16] x) => (float[N, 16] y, float[10, 4] z) {
            whole = Cast<to = 7>(positions)
            z = Gather(table, whole)
            y = Mul(x, gain)
            n = Cast<to = 7>(sizes)
        }""",
        {
            "positions": np.linspace(0, 4.5, 10, dtype=np.float32),
            "table": floats(8, 4),
            "gain": floats(16),
        },
    )
    lifted = lift(inlined(original))
    assert set(lifted.fed) == {"table", "gain"}
    assert lifted.steady_inputs == {"sizes"}


def test_other_domains_keep_their_constants():
    text = """<ir_version: 9, opset_import: ["" : 20, "com.microsoft" : 1]>
    m (float[N, 16] x) => (float[N, 16] y) { y = com.microsoft.BiasGelu(x, b) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(floats(16), "b"))
    original = ir.from_proto(proto)
    lifted = lift(inlined(original))
    assert (list(lifted.fed), list(lifted.baked)) == ([], ["b"])
    run = JitteredModel(original, unoptimised)
    moved = run.jittered(np.random.default_rng(0))
    x = np.ones((2, 16), np.float32)
    assert not np.array_equal(moved({"x": x})["y"], run.run({"x": x})["y"])


def test_outputs_that_a_call_leaves_out_get_a_name():
    proto = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 20, "local" : 1]>
        m (float[N, 16] x) => (float[N, 16] y) { y, "" = local.pair(x) }
        <domain: "local", opset_import: ["" : 20]> pair (x) => (a, b) { a = Abs(x) b = Neg(a) }"""
    )
    flat = inlined(ir.from_proto(proto))
    assert all(output.name for node in flat.graph for output in node.outputs)
    x = floats(2, 16)
    assert unoptimised(flat).run({"x": x})["y"].tobytes() == np.abs(x).tobytes()
