ALL_BACKENDS = ("tensorrt", "onnxruntime", "reference")
"""Names of the backend packages in this folder, most preferred first; ``registry`` adds third parties'."""
