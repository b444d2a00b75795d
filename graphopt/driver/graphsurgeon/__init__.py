"""onnx-graphsurgeon graphs in and out, with what it has no place for carried around it."""
