"""How ONNX Runtime likes things spelled, one pass per file, in running order."""

from graphopt.backends.onnxruntime.legalize.keep_softmax_float import KeepSoftmaxFloat
from graphopt.backends.onnxruntime.legalize.split_skip_normalization import SplitSkipNormalization
from graphopt.backends.onnxruntime.legalize.widen_narrow_conv import WidenNarrowConv
from graphopt.pipeline.pass_base import Pass

LEGALIZE_PASSES: tuple[type[Pass], ...] = (KeepSoftmaxFloat, SplitSkipNormalization, WidenNarrowConv)
