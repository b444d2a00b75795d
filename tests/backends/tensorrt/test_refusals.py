"""A refused region names the nodes TensorRT refuses, all that can be known, and only those."""

import onnx
import pytest

from graphopt.backends.base import BuildOptions, RegionRefused
from graphopt.backends.tensorrt.backend import BACKEND
from graphopt.backends.tensorrt.building.refusals import refused_nodes
from graphopt.backends.tensorrt.building.request import BuildRefused
from graphopt.targets.parse import parse_target
from tests.backends.tensorrt.models import model


def reasons(text, opset=21):
    with pytest.raises(RegionRefused) as refused:
        BACKEND.build(model(text, opset), BuildOptions(parse_target("cuda:sm_86"), 1))
    assert refused.value.message.startswith("TensorRT")
    assert "\n" not in refused.value.message
    return refused.value.reasons


def test_operators_the_parser_lacks_are_all_named():
    found = reasons(
        """g (float[2, 3] x) => (float[2, 3] y) {
          d = Det(x)
          a = Relu(x)
          b = BitShift <direction = "LEFT"> (a, a)
          y = Add(b, d)
        }"""
    )
    assert found == {
        "the_d": "TensorRT-RTX's parser has no Det of this form",
        "the_b": "TensorRT-RTX's parser has no BitShift of this form",
    }


def test_every_invalid_node_is_named_though_the_parser_stops_at_the_first():
    found = reasons(
        """g (float[4] x, int64[4, 1] i, float[4] u) => (float[4] y) {
          a = ScatterND <reduction = "add"> (x, i, u)
          b = Relu(a)
          c = ScatterND <reduction = "mul"> (b, i, u)
          d = Sqrt(c)
          y = ScatterND <reduction = "max"> (d, i, u)
        }"""
    )
    assert sorted(found) == ["the_a", "the_c", "the_y"]
    assert set(found.values()) == {"ScatterND with reduction is not supported."}


def test_a_node_inside_a_subgraph_is_named_by_the_node_that_holds_it():
    found = reasons(
        """g (float[4] x, bool c) => (float[4] y) {
          r = Relu(x)
          y = If (c) <
            then_branch = yes () => (float[4] t) { t = BitShift <direction = "LEFT"> (r, r) },
            else_branch = no () => (float[4] e) { e = Neg(r) }
          >
        }"""
    )
    assert sorted(found) == ["the_y"]


def test_a_node_the_builder_cannot_build_is_found():
    found = reasons(
        """g (float[1, 6, 4] boxes, float[1, 1, 6] scores) => (int64[K, 3] y) {
          b = Relu(boxes)
          s = Sigmoid(scores)
          n = Constant <value = int64 {3}> ()
          y = NonMaxSuppression(b, s, n)
        }"""
    )
    assert sorted(found) == ["the_y"]
    assert "NonMaxSuppression" in found["the_y"] or "no runners" in found["the_y"]


def test_an_input_whose_values_decide_a_shape_is_refused_where_it_does():
    found = reasons(
        """g (float[4, 6] x, int64[2] s) => (float[A, B] y) {
          two = Constant <value = int64 {2}> ()
          t = Mul(s, two)
          a = Relu(x)
          r = Reshape(a, t)
          y = Sqrt(r)
        }"""
    )
    assert sorted(found) == ["the_r"]
    assert "known only when the model runs" in found["the_r"]


def test_unsigned_quantisation_never_reaches_the_parser():
    found = reasons(
        """g (float[4] x) => (float[4] y) {
          s = Constant <value = float {0.1}> ()
          z = Constant <value = uint8 {3}> ()
          q = QuantizeLinear(x, s, z)
          y = DequantizeLinear(q, s, z)
        }"""
    )
    assert found["the_q"] == "TensorRT takes uint8 in QuantizeLinear for int8"
    assert sorted(found) == ["the_q", "the_y"]


def test_an_operator_the_parser_reads_as_another_gives_itself_away():
    # It takes no notice of layout = 1: batch and time are exchanged.
    found = reasons(
        """g (float[3, 5, 2] x, float[1, 18, 2] w1, float[1, 18, 6] w2)
            => (float[3, 5, 1, 6] y, float[3, 1, 6] h)
        {
          r = Relu(x)
          y, h = GRU <hidden_size = 6, layout = 1> (r, w1, w2)
        }"""
    )
    assert sorted(found) == ["the_y"]
    assert found["the_y"].startswith("the parser reads the node as another: ")


CHAIN = """g (float[4] x) => (float[4] v9) {
  v0 = Relu(x)
  v1 = Relu(v0)
  v2 = Relu(v1)
  v3 = Relu(v2)
  v4 = Relu(v3)
  v5 = Relu(v4)
  v6 = Relu(v5)
  v7 = Relu(v6)
  v8 = Relu(v7)
  v9 = Relu(v8)
}"""


def chain():
    """Ten nodes one after the other, with the types of all values written down."""
    found = model(CHAIN)
    for node in found.graph:
        node.outputs[0].type, node.outputs[0].shape = found.graph.inputs[0].type, found.graph.inputs[0].shape
    import onnx_ir as ir

    return ir.to_proto(found)


def names(part):
    return [node.name for node in part.graph.node]


class Counting:
    """An attempt that refuses a part as ``refuse`` says and counts."""

    def __init__(self, refuse):
        self.refuse = refuse
        self.parts = []

    def __call__(self, part):
        onnx.checker.check_model(part)
        self.parts.append(names(part))
        return self.refuse(names(part))


def never(part):
    raise AssertionError("not to be asked")


@pytest.mark.parametrize("culprit", range(10))
def test_the_culprit_is_where_the_shortest_refused_run_ends(culprit):
    build = Counting(lambda part: BuildRefused("no kernel", "build") if f"the_v{culprit}" in part else None)
    found = refused_nodes(chain(), BuildRefused("no kernel", "build"), never, build)
    assert found == {f"the_v{culprit}": "no kernel"}
    assert len(build.parts) <= 4 + 10  # and each of the ten alone


def test_a_node_that_tensorrt_mentions_is_tried_first_and_not_believed():
    build = Counting(lambda part: BuildRefused("no room", "build") if "the_v7" in part else None)
    said = BuildRefused("Could not build 'the_v7'", "build")
    assert refused_nodes(chain(), said, never, build) == {"the_v7": "no room"}
    assert build.parts[0] == [f"the_v{i}" for i in range(8)]
    assert build.parts[1] == [f"the_v{i}" for i in range(7)]
    said = BuildRefused("Could not build 'the_v2'", "build")
    assert refused_nodes(chain(), said, never, build) == {"the_v7": "no room"}


def test_others_that_are_refused_alone_are_named_with_the_culprit():
    broken = {"the_v3", "the_v5", "the_v8"}
    build = Counting(lambda part: BuildRefused("no kernel", "build") if broken & set(part) else None)
    found = refused_nodes(chain(), BuildRefused("no kernel", "build"), never, build)
    assert found == dict.fromkeys(sorted(broken), "no kernel")


def test_others_are_not_asked_about_a_culprit_that_is_taken_alone():
    def refuse(part):
        return BuildRefused("no fusion", "build") if {"the_v3", "the_v4"} <= set(part) else None

    found = refused_nodes(chain(), BuildRefused("no fusion", "build"), never, Counting(refuse))
    assert found == {"the_v4": "no fusion"}


def test_a_process_that_dies_is_searched_as_well():
    build = Counting(lambda part: BuildRefused("died", "process") if "the_v3" in part else None)
    assert refused_nodes(chain(), BuildRefused("died", "process"), never, build) == {"the_v3": "died"}


def test_what_only_the_whole_graph_suffers_is_blamed_on_its_last_node():
    build = Counting(lambda part: None)
    assert refused_nodes(chain(), BuildRefused("too much", "build"), never, build) == {"the_v9": "too much"}


def test_a_refusal_about_options_is_about_the_region():
    assert refused_nodes(chain(), BuildRefused("no ranges", "options"), never, never) == {}


def test_parse_errors_without_a_node_are_searched_by_parsing():
    parse = Counting(lambda part: BuildRefused("odd", "parse") if "the_v6" in part else None)
    assert refused_nodes(chain(), BuildRefused("odd", "parse"), parse, never) == {"the_v6": "odd"}


def test_parse_errors_that_count_nodes_are_understood():
    parse = Counting(lambda part: None)
    refused = BuildRefused("odd", "parse", indices={4: "odd", 40: "beyond the end"})
    assert refused_nodes(chain(), refused, parse, never) == {"the_v4": "odd"}
    assert parse.parts == [[f"the_v{i}" for i in range(10) if i != 4]]


def test_a_name_that_is_nowhere_does_not_loop():
    parse = Counting(lambda part: BuildRefused("odd", "parse", reasons={"elsewhere": "odd"}))
    refused = BuildRefused("odd", "parse", reasons={"elsewhere": "odd"})
    found = refused_nodes(chain(), refused, parse, never)
    assert found == {f"the_v{i}": "odd" for i in range(10)}  # each is refused alone, too
    assert len(parse.parts) <= 4 + 10


def test_the_number_of_attempts_is_bounded(monkeypatch):
    from graphopt.backends.tensorrt.building import refusals

    monkeypatch.setattr(refusals, "_MOST_SECONDS", 0.0)
    assert refused_nodes(chain(), BuildRefused("slow", "build"), never, never) == {}


def test_a_zero_point_known_only_at_run_time_never_reaches_the_parser():
    found = reasons(
        """g (float[4] x, int8 z) => (int8[4] y) {
          s = Constant <value = float {0.1}> ()
          y = QuantizeLinear(x, s, z)
        }"""
    )
    assert found == {"the_y": "TensorRT takes a zero point it does not know in QuantizeLinear for 0"}
