"""ConvIntegerToFloat: a convolution of quantised images, given back as floating-point numbers."""

from graphopt.ops.op import NamedOp

_ATTRIBUTES = (
    "dilations: ints = @dilations, group: int = @group, pads: ints = @pads, strides: ints = @strides"
)

CONV_INTEGER_TO_FLOAT = NamedOp(
    name="ConvIntegerToFloat",
    inputs=("x", "w", "x_scale", "w_scale", "x_zero_point", "w_zero_point"),
    outputs=("y",),
    body_text=f"""
        sums = ConvInteger <{_ATTRIBUTES}> (x, w, x_zero_point, w_zero_point)
        number = CastLike (sums, w_scale)
        scale = Mul (x_scale, w_scale)
        y = Mul (number, scale)
    """,
    min_opset=15,
    doc="y = the convolution of x - x_zero_point with w - w_zero_point in integers, times x_scale·w_scale.",
    attributes={"dilations": (1, 1), "group": 1, "pads": (0, 0, 0, 0), "strides": (1, 1)},
)
