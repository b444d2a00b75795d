"""A zipped reproduction of a difference: two small models, inputs, and a script that shows it."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from graphopt.errors import ArtifactError

if TYPE_CHECKING:
    from graphopt.driver.bisect_graph import Divergence
    from graphopt.equality.arrays import Array

_SCRIPT = '''"""Show that after.onnx does not compute what before.onnx computes.

Needs only numpy and onnxruntime. Exits with 1 while the difference persists, with 0 when it is gone.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime as ort

HERE = pathlib.Path(__file__).resolve().parent
CASE = json.loads((HERE / "case.json").read_text())


def session(name, optimise):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(HERE / name), options, providers=["CPUExecutionProvider"])


def run(name, optimise):
    stored = np.load(HERE / "inputs.npz", allow_pickle=False)
    chosen = session(name, optimise)
    known = {i.name for i in chosen.get_inputs()}
    feeds = {entry["name"]: stored[entry["member"]] for entry in CASE["inputs"] if entry["name"] in known}
    return chosen.run([entry["name"] for entry in CASE["outputs"]], feeds)


def differs(entry, a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{b.dtype}{list(b.shape)} instead of {a.dtype}{list(a.shape)}"
    if a.dtype.kind != "f":
        wrong = int(np.sum(a != b))
        return f"{wrong} elements differ" if wrong > entry["flips"] * a.size else ""
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return "NaN or infinity in one only"
    d = (b - a)[finite]
    largest = float(np.max(np.abs(d))) if d.size else 0.0
    rms = float(np.sqrt(np.mean(d * d))) if d.size else 0.0
    if largest <= entry["max"] and rms <= entry["rms"]:
        return ""
    allowed = f"allowed: {entry['max']:.3g} and {entry['rms']:.3g}"
    return f"max|d| = {largest:.3g}, rms d = {rms:.3g}; {allowed}"


def main():
    persists = False
    pairs = zip(CASE["outputs"], run("before.onnx", False), run("after.onnx", CASE["optimise"]))
    for entry, a, b in pairs:
        problem = differs(entry, a, b)
        persists |= bool(problem)
        print(f"{entry['name']}: {problem or 'equal within rounding'}")
    return 1 if persists else 0


if __name__ == "__main__":
    sys.exit(main())
'''


def write_reproduction(
    path: str | os.PathLike[str], found: Divergence, *, title: str, optimise: bool = False
) -> Path:
    """Write a zip with before.onnx, after.onnx, inputs, outputs of both, a README and ``repro.py``.

    Args:
        path: of the zip, replaced when it exists; it appears complete or not at all.
        found: the piece, as ``bisect_graph`` found it.
        title: one line about where it comes from.
        optimise: whether after.onnx differs only with ONNX Runtime's own optimisations.

    Raises:
        ArtifactError: the file cannot be written.
    """
    from graphopt.artifact.atomic import install, remove, sibling
    from graphopt.artifact.replace import write_error

    target = Path(path)
    scratch = sibling(target)
    try:
        with zipfile.ZipFile(scratch, "x", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            _fill(archive, found, title, optimise)
        install(scratch, target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        remove(scratch)
    return target


def _fill(archive: zipfile.ZipFile, found: Divergence, title: str, optimise: bool) -> None:
    for name, model in (("before", found.before), ("after", found.after)):
        _add_model(archive, name, model)
    expected, actual = _outputs(found, optimise)
    for member, arrays in (("inputs", found.feeds), ("expected", expected), ("actual", actual)):
        archive.writestr(f"{member}.npz", _npz(list(arrays.values())))
    archive.writestr("case.json", json.dumps(_case(found, expected, optimise), indent=1))
    archive.writestr("repro.py", _SCRIPT)
    archive.writestr("README.md", _readme(found, title))


def _add_model(archive: zipfile.ZipFile, name: str, model: object) -> None:
    """The model, its weights beside it only where one protobuf cannot hold them."""
    from graphopt.ir.save import save_model

    with tempfile.TemporaryDirectory(prefix="graphopt-bisect-") as folder:
        save_model(model, Path(folder, f"{name}.onnx"))  # type: ignore[arg-type]
        for file in sorted(Path(folder).iterdir()):
            archive.write(file, file.name)


def _outputs(found: Divergence, optimise: bool) -> tuple[dict[str, Array], dict[str, Array]]:
    from graphopt.backends.onnxruntime.runner import make_runner

    expected = make_runner(found.before, optimise=False).run(found.feeds)
    try:
        actual = make_runner(found.after, optimise=optimise).run(found.feeds)
    except Exception as error:  # the difference may be that it cannot run at all
        raise ArtifactError(f"the piece cannot be run: {error}") from error
    return expected, actual


def _npz(arrays: list[Array]) -> bytes:
    """Arrays under numbers: names of values need not be names of files."""
    import numpy as np

    buffer = io.BytesIO()
    plain = [array.astype(np.str_) if array.dtype == object else array for array in arrays]
    np.savez_compressed(buffer, *plain)
    return buffer.getvalue()


def _case(found: Divergence, expected: Mapping[str, Array], optimise: bool) -> dict[str, object]:
    """What ``repro.py`` needs to judge: names, and the limits that the noise floor gave."""
    factor = found.report.factor
    floors = {output.name: output for output in found.report.outputs}
    return {
        "inputs": [{"name": name, "member": f"arr_{i}"} for i, name in enumerate(found.feeds)],
        "outputs": [
            {
                "name": name,
                "max": factor * floors[name].floor_max if name in floors else 0.0,
                "rms": factor * floors[name].floor_rms if name in floors else 0.0,
                "flips": factor * floors[name].flip_rate if name in floors else 0.0,
            }
            for name in expected
        ],
        "optimise": optimise,
    }


def _readme(found: Divergence, title: str) -> str:
    where = f"value `{found.value}`" if found.value else "the whole model"
    return (
        f"# {title}\n\n"
        f"`before.onnx` and `after.onnx` should compute the same {where}. They do not:\n\n"
        f"    {found.report.sentence()}\n\n"
        f"{len(found.before.graph)} nodes before, {len(found.after.graph)} after.\n\n"
        "    pip install numpy onnxruntime\n"
        "    python repro.py        # exits with 1 while the difference persists\n\n"
        "`inputs.npz` holds the inputs by number (`case.json` says the names), `expected.npz` and\n"
        "`actual.npz` what the two gave when this was written. The limits in `case.json` are multiples\n"
        "of the noise floor of `before.onnx`: what one rounding error in each input and weight does.\n"
    )
