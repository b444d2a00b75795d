"""The operator sets ONNX Runtime has kernels of."""

DOMAINS = frozenset(
    ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.training", "ai.onnx.preview.training")
) | {"com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}
