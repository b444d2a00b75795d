"""The extension module: its stub, its kernels against NumPy, its errors, and the GIL."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphopt
from graphopt import _kernels
from tests.native.build import ROOT

ISAS = _kernels.supported_isas()
STUB = Path(graphopt.__file__).parent / "_kernels.pyi"


def public(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def test_the_stub_lists_what_is_there() -> None:
    stub = ast.parse(STUB.read_text(encoding="utf-8")).body
    declared = {node.name: node for node in stub if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert set(declared) == public(dir(_kernels))
    for name, node in declared.items():
        if isinstance(node, ast.ClassDef):
            members = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            assert public(members) == public(dir(getattr(_kernels, name)))


def test_stub_and_module_take_the_same_arguments() -> None:
    stub = ast.parse(STUB.read_text(encoding="utf-8")).body
    for node in stub:
        if isinstance(node, ast.FunctionDef):
            signature = getattr(_kernels, node.name).__doc__.splitlines()[0]
            for argument in (*node.args.args, *node.args.kwonlyargs):
                assert f"{argument.arg}:" in signature, (node.name, signature)


def test_importing_it_imports_nothing_heavy() -> None:
    program = "import sys; from graphopt import _kernels; print('numpy' in sys.modules)"
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_one_version_everywhere() -> None:
    assert _kernels.version() == metadata.version("graphopt")
    assert f"project(graphopt VERSION {_kernels.version()} " in (ROOT / "CMakeLists.txt").read_text(
        encoding="utf-8"
    )


def test_levels() -> None:
    assert set(ISAS) <= set(_kernels.built_isas()) <= set(_kernels.known_isas())
    assert _kernels.best_isa() == ISAS[-1]
    features = set(_kernels.cpu_features())
    for isa in _kernels.built_isas():
        assert (isa in ISAS) == (set(_kernels.isa_features(isa)) <= features)


def test_features_agree_with_the_system() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("no /proc/cpuinfo here")
    words = set(cpuinfo.read_text(encoding="utf-8").split())
    for name in _kernels.cpu_features():
        assert name in words or name == "sse3", name  # Linux calls SSE3 "pni"


@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=3000), offset=st.integers(0, 65), isa=st.sampled_from(ISAS))
def test_stream_kernels_against_numpy(data: bytes, offset: int, isa: str) -> None:
    x = np.frombuffer(bytes(offset) + data, np.uint8)[offset:]
    y = np.zeros_like(x)
    _kernels.call("stream_copy", [x], [y], isa=isa)
    np.testing.assert_array_equal(y, x)
    folded = np.zeros(1, np.uint64)
    _kernels.call("stream_read", [x], [folded], attributes={"repeat": 3}, isa=isa)
    padded = np.pad(x, (0, -len(x) % 8)).view("<u8")
    assert folded[0] == np.bitwise_xor.reduce(padded, initial=np.uint64(0))


@pytest.mark.parametrize("isa", ISAS)
def test_fma_peak_counts_what_it_does(isa: str) -> None:
    total, operations = np.zeros(1), np.zeros(1, np.int64)
    a, b = np.array([3], np.float32), np.array([-2], np.float32)
    _kernels.call("fma_peak", [a, b], [total, operations], attributes={"repeat": 100}, isa=isa)
    assert operations[0] > 0
    assert total[0] == operations[0] // 2 * -6


def test_wrong_calls_are_refused() -> None:
    x, y = np.zeros(8, np.float32), np.zeros(8, np.float32)
    refused = [
        (("nonsense", [x], [y]), {}, "no kernel of that name"),
        (("stream_copy", [x], []), {}, "malformed"),
        (("stream_copy", [x], [y[:4]]), {}, "malformed"),
        (("stream_copy", [x[::2]], [y[:4]]), {}, "malformed"),
        (("stream_copy", [x], [y]), {"attributes": {"repeat": 0}}, "malformed"),
        (
            ("stream_copy", [x], [y]),
            {"isa": "sse9"},
            r"'sse9' is not an instruction set graphopt knows; .* has x86-64|neon",
        ),
    ]
    for arguments, keywords, message in refused:
        with pytest.raises(ValueError, match=message):
            _kernels.call(*arguments, **keywords)
    y.flags.writeable = False
    with pytest.raises(TypeError):
        _kernels.call("stream_copy", [x], [y])


def test_a_level_of_another_architecture_is_refused() -> None:
    foreign = next(isa for isa in _kernels.known_isas() if isa not in _kernels.built_isas())
    with pytest.raises(ValueError, match=f"'{foreign}' was not built in; this machine has {ISAS[0]}"):
        _kernels.measure_peak("float32", isa=foreign)


def test_wrong_measurements_are_refused() -> None:
    with pytest.raises(ValueError, match="dtype 'float16' has no arithmetic peak; known: bfloat16"):
        _kernels.measure_peak("float16")
    with pytest.raises(ValueError, match=r"peak of int8 on .*no code for this dtype"):
        _kernels.measure_peak("int8", isa=ISAS[0])
    with pytest.raises(ValueError, match="malformed"):
        _kernels.measure_bandwidth("stream_copy", 1)
    with pytest.raises(ValueError, match="malformed"):
        _kernels.measure_clock(samples=2)


@pytest.mark.timing
def test_the_gil_is_released() -> None:
    worker = threading.Thread(target=lambda: _kernels.measure_clock(seconds=0.02, samples=15))
    worker.start()
    turns = 0
    while worker.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns > 10  # with the GIL held, this thread would wait for the whole measurement


def test_memory_that_is_refused_is_an_error() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31)); "
        "from graphopt import _kernels; _kernels.measure_bandwidth('stream_read', 1 << 32)"
    )
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "RuntimeError: bandwidth of stream_read over 4294967296 bytes"
    )
