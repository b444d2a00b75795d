"""Outputs that are maps: imported, checked, run and written back as they were declared."""

import numpy as np
import onnx
import pytest

import graphopt
from graphopt.errors import ModelError
from graphopt.ir.load import load_model
from graphopt.ir.save import save_model, to_bytes
from tests.equality.models import prepare, unoptimised

TEXT = """<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 1]>
classifier (float[N, 3] x) => (int64[N] label, float[N] p) {
    same = Identity(x)
    score = Softmax(same)
    label = ArgMax<keepdims = 0>(score)
    p = ai.onnx.ml.ZipMap<classlabels_strings = ["a", "b", "c"]>(score)
}"""


@pytest.fixture
def classifier() -> onnx.ModelProto:
    """With the output a scikit-learn classifier has: a sequence of maps, label to probability."""
    proto = onnx.parser.parse_model(TEXT.replace("label = ArgMax<", "label = ArgMax<axis = 1, "))
    element = proto.graph.output[1].type.sequence_type.elem_type.map_type
    element.key_type = onnx.TensorProto.STRING
    element.value_type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return proto


def test_the_declared_type_comes_back(classifier, tmp_path):
    model = load_model(classifier)
    assert onnx.load_from_string(to_bytes(model.clone())).graph.output[1] == classifier.graph.output[1]
    save_model(model, tmp_path / "m.onnx")
    assert load_model(tmp_path / "m.onnx").graph.outputs[1].type is None


def test_the_values_of_a_map_are_checked(classifier):
    oracle = prepare(load_model(classifier))
    assert oracle.judge(unoptimised(load_model(classifier))).verdict == "exact"
    classifier.graph.node[1].attribute.append(onnx.helper.make_attribute("axis", 0))
    assert oracle.judge(unoptimised(load_model(classifier))).verdict == "semantic"


def test_an_artifact_gives_maps(classifier, tmp_path):
    result = graphopt.compile(classifier, output=tmp_path / "m.gopt", measure=False)
    assert not result.report.dropped
    assert not any("keys" in o["name"] and o["weak"] for o in result.report.equality["outputs"])
    session = graphopt.load(result.path)
    assert session.outputs[1].dtype == "seq(map(string, float32))"
    rows = session.run({"x": np.zeros((2, 3), np.float32)})["p"]
    assert [list(row) for row in rows] == [["a", "b", "c"]] * 2


def test_a_map_as_an_input_is_refused_in_one_line(classifier):
    classifier.graph.input.add().CopyFrom(classifier.graph.output[1])
    classifier.graph.input[1].name = "m"
    with pytest.raises(ModelError, match="'m' is a map"):
        load_model(classifier)
