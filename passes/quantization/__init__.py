"""Passes about quantised operators: int8 stays int8; in running order."""

from graphopt.passes.quantization.cancel_requantization import CancelRequantization
from graphopt.passes.quantization.fold_scale_into_quantizer import FoldScaleIntoQuantizer
from graphopt.passes.quantization.move_quantizers import MoveQuantizers
from graphopt.passes.quantization.recognize_integer_conv import RecognizeIntegerConv
from graphopt.passes.quantization.recognize_integer_product import RecognizeIntegerProduct
from graphopt.passes.quantization.transpose_quantized_weight import TransposeQuantizedWeight
from graphopt.pipeline.pass_base import Pass

QUANTIZATION_PASSES: tuple[type[Pass], ...] = (
    FoldScaleIntoQuantizer,
    MoveQuantizers,
    CancelRequantization,  # what the two before have brought together
    TransposeQuantizedWeight,
    RecognizeIntegerProduct,
    RecognizeIntegerConv,
)
