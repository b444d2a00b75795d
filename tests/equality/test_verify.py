"""``verify``: two models, their signatures first."""

import onnx
import onnx_ir as ir
import pytest

from graphopt.driver.verify import require_equal, signature_differences, verify
from graphopt.equality.verdict import Verdict
from graphopt.errors import EqualityError
from tests.equality.models import floats, model, perceptron


def proto(original):
    return ir.to_proto(original)


def test_a_model_equals_itself(tmp_path):
    onnx.save(proto(perceptron()), tmp_path / "m.onnx")
    report = verify(tmp_path / "m.onnx", proto(perceptron()), threads=1)
    assert report.verdict is Verdict.EXACT
    require_equal(report)


def test_a_wrong_model_raises_with_its_exit_code():
    changed = perceptron(w1=floats(32, 64, seed=1) * 2)
    report = verify(proto(perceptron()), proto(changed), threads=1)
    assert report.verdict is Verdict.SEMANTIC
    with pytest.raises(EqualityError, match="noise floor") as caught:
        require_equal(report)
    assert caught.value.exit_code == 3


TEXT = "m (float[N, 8] a, float[N, 8] b) => (float[N, 8] p, float[N, 8] q) { p = Add(a, b) q = Sub(a, b) }"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (TEXT.replace("p,", "r,").replace("p = ", "r = "), "output 'p' is missing"),
        (TEXT.replace("float[N, 8] p, float[N, 8] q", "float[N, 8] q, float[N, 8] p"), "another order"),
        (TEXT.replace("float[N, 8]", "double[N, 8]"), "double instead of float"),
        (TEXT.replace("=> (float[N, 8] p", "=> (float[1, N, 8] p"), "rank 3 instead of 2"),
        (
            TEXT.replace(" b,", " c,").replace("float[N, 8] b)", "float[N, 8] c)").replace("a, b", "a, c"),
            "'c' is new",
        ),
    ],
)
def test_signature_differences_are_named(changed, message):
    fatal, _ = signature_differences(model(TEXT), model(changed))
    assert any(message in text for text in fatal), fatal


def test_fixed_dims_are_a_note_and_are_used():
    fixed = TEXT.replace("float[N, 8]", "float[5, 8]")
    report = verify(proto(model(TEXT)), proto(model(fixed)), threads=1)
    assert report.verdict is Verdict.EXACT
    assert any("declares" in note for note in report.notes)
    assert all("[5, 8]" in text for feed in report.feeds.values() for text in feed.values())


def test_constants_compiled_in():
    import numpy as np

    report = verify(
        proto(model(TEXT)),
        proto(model(TEXT.replace(", float[N, 8] b)", ")"), {"b": np.ones((1, 8), np.float32)})),
        constants={"b": np.ones((1, 8), np.float32)},
        threads=1,
    )
    assert report.verdict is Verdict.EXACT, report.sentence()


def test_an_artifact_against_its_model(tmp_path):
    from graphopt.artifact.pack import pack
    from graphopt.driver.compile import compile_model

    onnx.save(proto(perceptron()), tmp_path / "m.onnx")
    compile_model(tmp_path / "m.onnx", output=tmp_path / "m.gopt", measure=False, threads=1)
    assert verify(tmp_path / "m.onnx", tmp_path / "m.gopt", threads=1).equal
    pack(tmp_path / "m.gopt", tmp_path / "packed.gopt")
    assert verify(tmp_path / "packed.gopt", tmp_path / "m.gopt", threads=1).equal
    changed = perceptron(w1=floats(32, 64, seed=1) * 2)
    onnx.save(proto(changed), tmp_path / "other.onnx")
    assert not verify(tmp_path / "other.onnx", tmp_path / "m.gopt", threads=1).equal
