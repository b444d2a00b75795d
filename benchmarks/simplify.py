"""``python -m benchmarks.simplify onnxslim|onnxsim IN OUT``: what a rival tool makes of a model."""

from __future__ import annotations

import sys


def main(tool: str, source: str, target: str) -> None:
    """Simplify ``source`` with the tool's defaults; whatever it raises ends the process."""
    import onnx

    model = onnx.load(source)
    if tool == "onnxslim":
        import onnxslim

        simplified = onnxslim.slim(model)
    elif tool == "onnxsim":
        import onnxsim

        simplified, same = onnxsim.simplify(model)
        if not same:
            sys.exit("its own check says that the simplified model computes something else")
    else:
        sys.exit(f"no tool is called {tool}")
    onnx.save(simplified, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
