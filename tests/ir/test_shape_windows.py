"""The quick form of a convolution's dims is the library's own."""

import onnx_ir as ir
import pytest
from onnx_shape_inference import ShapeInferenceError, infer_symbolic_shapes, registry

from graphopt.ir.shape_rules import make_sound

ATTRIBUTES = [
    "",
    "<pads=[1,1,1,0]>",
    "<strides=[2,2]>",
    "<strides=[2,3], pads=[1,0,1,2]>",
    "<dilations=[2,1]>",
    "<strides=[2,2], dilations=[2,2], pads=[3,3,3,3]>",
    "<kernel_shape=[3,2], pads=[1,0,1,1]>",
    '<auto_pad="SAME_UPPER", strides=[2,2]>',
    '<auto_pad="VALID">',
]


@pytest.fixture
def plain():
    """The library without any correction, for a while."""
    registry.collect()
    make_sound()
    ours = {since: registry.get("", "Conv", since) for since in registry.version_boundaries("", "Conv")}
    originals = {since: infer.__closure__[0].cell_contents for since, infer in ours.items()}

    def use(functions):
        for since, infer in functions.items():
            registry.register("", "Conv", since_version=since)(infer)

    yield lambda: use(originals), lambda: use(ours)
    use(ours)


@pytest.mark.parametrize("attributes", ATTRIBUTES)
def test_three_in_a_row(attributes, plain):
    def shapes():
        model = ir.from_onnx_text(
            '<ir_version: 10, opset_import: ["": 21]>\n'
            "g (float[N,3,H,W] x, float[8,3,3,2] v, float[8,8,3,2] w) => (float[a,b,c,d] y) {"
            f" p = Conv {attributes} (x, v)\n q = Conv {attributes} (p, w)\n"
            f" r = Conv {attributes} (q, w)\n y = Neg(r) }}"
        )
        infer_symbolic_shapes(model, warn_on_missing=False, adopt_declared_symbols=False)
        return [node.outputs[0].shape for node in model.graph][:3]

    original, ours = plain
    original()
    expected = shapes()
    ours()
    assert shapes() == expected


def test_a_wrong_one_is_left_to_the_library():
    make_sound()
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 21]>\n'
        "g (float[N,3,H,W] x, float[8,3,3,2] w) => (float[a,b,c,d] y)"
        " { p = Conv <strides=[2]> (x, w)\n y = Neg(p) }"
    )
    with pytest.raises(ShapeInferenceError, match="one positive value per spatial dimension"):
        infer_symbolic_shapes(model, warn_on_missing=False, adopt_declared_symbols=False)
