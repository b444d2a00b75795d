"""From canonical ONNX to plan steps: one function per operator, in a table."""
