ALL_BACKENDS = ("tensorrt", "native", "onnxruntime", "reference")
"""Names of the backend packages in this folder, most preferred first; ``registry`` adds third parties'."""
