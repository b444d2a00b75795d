"""Real, trained ONNX models out of ordinary packages, for tests and benchmarks."""
