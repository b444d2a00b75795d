ALL_BACKENDS = ("onnxruntime", "reference")
"""Names of the backend packages in this folder; ``registry`` resolves them and adds third parties'."""
