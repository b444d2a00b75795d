"""Plans from Python: feeds and outputs as arrays, errors, threads, memory that is given back."""

from __future__ import annotations

import mmap
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from graphopt import _kernels
from tests.native.plan_file import ANY, PlanFile


def doubling(dtype: str = "float32") -> bytes:
    """y = x twice, one behind the other; x: [N]."""
    plan = PlanFile()
    x, y = plan.input("x", dtype, [-2]), plan.value("y", dtype)
    plan.step("concat", [x, x], [y], axis=0)
    return plan.write([y])


def test_what_it_takes_and_gives() -> None:
    plan = PlanFile()
    x, mask = plan.input("x", "float32", [2, -2, ANY]), plan.input("mask", "bool", [])
    y, z = plan.output("y", "float32", [4, -2, ANY]), plan.value("z", "float32")
    plan.step("concat", [x, x], [y], axis=0)
    plan.step("concat", [y, x], [z], axis=0)
    opened = _kernels.Plan(plan.write([y, z, mask]))
    assert opened.inputs == [("x", "float32", (2, "N", None)), ("mask", "bool", ())]
    assert opened.outputs == [("y", "float32", (4, "N", None)), ("z", "float32", None), ("mask", "bool", ())]
    assert opened.isa == _kernels.best_isa()


@pytest.mark.parametrize("isa", _kernels.supported_isas())
def test_every_level_runs(isa: str) -> None:
    plan = _kernels.Plan(doubling(), isa=isa)
    assert plan.isa == isa
    np.testing.assert_array_equal(plan.run({"x": np.arange(3, dtype=np.float32)})["y"], [0, 1, 2, 0, 1, 2])


def test_any_array_goes_in() -> None:
    plan = _kernels.Plan(doubling())
    x = np.arange(12, dtype=np.float32)
    read_only = x.copy()
    read_only.flags.writeable = False
    odd = np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(np.float32)
    for array in (x, x[::2], x[::-1], read_only, odd, x[:0], np.broadcast_to(x[:1], 5)):
        np.testing.assert_array_equal(plan.run({"x": array})["y"], np.concatenate([array, array]))


def test_bfloat16_crosses_as_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    plan = _kernels.Plan(doubling("bfloat16"))
    x = np.arange(3).astype(ml_dtypes.bfloat16)
    y = plan.run({"x": x})["y"]
    assert y.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(y, np.concatenate([x, x]))


def test_output_memory_is_used_again_only_when_nobody_holds_it() -> None:
    plan = _kernels.Plan(doubling())
    x = np.arange(1000, dtype=np.float32)
    held = [plan.run({"x": x + i})["y"] for i in range(6)]
    views = [plan.run({"x": x})["y"][1:3] for _ in range(2)]
    assert len({array.ctypes.data for array in held}) == 6
    for i, array in enumerate(held):
        np.testing.assert_array_equal(array[:1000], x + i)
    np.testing.assert_array_equal(views, [[1, 2], [1, 2]])
    del held, views
    first = plan.run({"x": x})["y"].ctypes.data
    assert plan.run({"x": x})["y"].ctypes.data == first


def test_wrong_feeds_are_value_errors() -> None:
    plan = _kernels.Plan(doubling())
    x = np.zeros(3, np.float32)
    refused = [
        ({}, "input 'x' is missing"),
        ({"x": x, "z": x}, "there is no input 'z'"),
        ({"x": x[None]}, r"input 'x' is float32\[1,3\], not float32\[N\]"),
        ({"x": x.astype(np.float64)}, r"input 'x' is float64\[3\], not float32\[N\]"),
        ({"x": x.astype(">f4")}, "input 'x' is no array of numbers in this machine's byte order"),
        ({"x": np.array(["a"])}, "input 'x' is no array of numbers"),
        ({"x": [1.0]}, "input 'x' is no array of numbers"),
    ]
    for feeds, message in refused:
        with pytest.raises(ValueError, match=message):
            plan.run(feeds)  # type: ignore[arg-type]


def test_arrays_of_other_kinds_are_value_errors() -> None:
    plan = _kernels.Plan(doubling())
    refused = [
        (np.zeros((1,) * 9, np.float32), "input 'x' has 9 dims; at most 8 are possible"),
        (np.zeros(3, np.complex64), "no array of numbers"),
        (np.zeros(3, object), "no array of numbers"),
        (np.zeros(3, [("a", np.float32)]), "no array of numbers"),
        (np.zeros(3, np.dtype([])), "no array of numbers"),  # elements of no bytes
        (np.zeros(3, "datetime64[s]"), "no array of numbers"),
        (np.zeros(3, np.longdouble), "no array of numbers"),
        (np.float32(1), r"input 'x' is float32\[\], not float32\[N\]"),
        (memoryview(b"abc"), r"input 'x' is uint8\[3\]"),
        (None, "no array of numbers"),
    ]
    for array, message in refused:
        with pytest.raises(ValueError, match=message):
            plan.run({"x": array})  # type: ignore[dict-item]
    packed = np.zeros(3, [("a", np.uint8), ("b", np.float32)])
    packed["b"] = [1, 2, 3]  # one byte off, and a stride of five
    np.testing.assert_array_equal(plan.run({"x": packed["b"]})["y"], [1, 2, 3, 1, 2, 3])


def test_outputs_go_back_in() -> None:
    plan = _kernels.Plan(doubling())
    x = np.ones(1, np.float32)
    for _ in range(6):
        x = plan.run({"x": x})["y"]
        x = plan.run({"x": x[: len(x) // 2 + 1][::-1]})["y"]  # part of memory that the plan made
    assert (x == 1).all()


def test_names_are_utf8() -> None:
    plan = PlanFile()
    named = plan.write([plan.input("ünï☃𝄞", "float32", [1])])
    assert _kernels.Plan(named).inputs[0][0] == "ünï☃𝄞"
    for wrong in (b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf", b"\xe2\x98"):
        name = "q" * len(wrong)
        plan = PlanFile()
        data = plan.write([plan.input(name, "float32", [1])])
        with pytest.raises(ValueError, match="a name is not UTF-8"):
            _kernels.Plan(data.replace(name.encode(), wrong))


def test_wrong_plans_are_errors() -> None:
    data = doubling()
    for end in range(len(data)):
        with pytest.raises(ValueError, match=r"plan|value"):
            _kernels.Plan(data[:end])
    with pytest.raises(ValueError, match="bytes follow its end"):
        _kernels.Plan(data + b"\0")
    with pytest.raises(ValueError, match="'sse9' is not an instruction set graphopt knows"):
        _kernels.Plan(data, isa="sse9")
    with pytest.raises(ValueError, match="a plan takes 1 to 1024 threads, not 5000"):
        _kernels.Plan(data, threads=5000)


def test_a_plan_for_another_machine_is_refused() -> None:
    plan = PlanFile()
    outputs = [plan.input("x", "float32", [-2])]
    foreign = next(isa for isa in _kernels.known_isas() if isa not in _kernels.supported_isas())
    with pytest.raises(RuntimeError, match=f"compiled for '{foreign}', which this machine does not have"):
        _kernels.Plan(plan.write(outputs, isa=_kernels.isa_number(foreign)))
    other = 2 if _kernels.isa_number(_kernels.best_isa()) < _kernels.isa_number("neon") else 1
    with pytest.raises(RuntimeError, match=r"the plan was compiled for .*; compile the model again"):
        _kernels.Plan(plan.write(outputs, arch=other))
    with pytest.raises(RuntimeError, match=f"this machine does not have the instruction set '{foreign}'"):
        _kernels.Plan(plan.write(outputs), isa=foreign)


def test_profile_names_every_step() -> None:
    outputs, steps = _kernels.Plan(doubling()).profile({"x": np.ones(2, np.float32)})
    np.testing.assert_array_equal(outputs["y"], np.ones(4))
    assert [step[:2] for step in steps] == [("the concat", "concat")]
    assert 0 <= steps[0][2] < 1


def much_scratch(doublings: int) -> bytes:
    """y = the element of x that `first` says; on the way there x is doubled in scratch memory."""
    plan = PlanFile()
    x, first = plan.input("x", "float32", [-2]), plan.input("first", "int64", [1])
    for _ in range(doublings):
        doubled = plan.value("doubled", "float32")
        plan.step("concat", [x, x], [doubled], axis=0)
        x = doubled
    y = plan.value("y", "float32")
    plan.step("gather", [x, first], [y], axis=0)
    return plan.write([y])


def test_memory_beyond_the_limit_is_refused() -> None:
    opened = _kernels.Plan(much_scratch(1), memory_limit=4096)
    first = np.array([3], np.int64)
    with pytest.raises(RuntimeError, match="more than its limit of 4096"):
        opened.run({"x": np.zeros(10_000, np.float32), "first": first})
    assert opened.run({"x": np.arange(10, dtype=np.float32), "first": first})["y"] == [3]


def test_memory_that_the_system_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(much_scratch(12))
    program = (
        "import resource; import numpy as np; from graphopt import _kernels; "
        f"plan = _kernels.Plan(open({str(tmp_path / 'plan')!r}, 'rb').read()); "
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31)); "
        "feeds = lambda size: {'x': np.ones(size, np.float32), 'first': np.zeros(1, np.int64)}; "
        "print(plan.run(feeds(10))['y']); plan.run(feeds(1 << 20))"
    )
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=False)
    assert done.stdout == "[1.]\n"
    assert "RuntimeError: the operating system refused" in done.stderr.splitlines()[-1]


def test_threads_share_a_plan() -> None:
    plan = _kernels.Plan(doubling(), threads=2)
    failed: list[int] = []

    def work(seed: int) -> None:
        for size in range(1, 60):
            x = np.full(size, seed, np.float32)
            if not (plan.run({"x": x})["y"] == seed).all():
                failed.append(size)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed
    assert plan.memory()["shapes"] <= 32


def test_weights_may_be_mapped(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    np.arange(1000, dtype=np.float32).tofile(path)
    plan = PlanFile()
    x, w, y = plan.input("x", "float32", [-2]), plan.weight("w", 1000), plan.value("y", "float32")
    plan.step("concat", [w, x], [y], axis=0)
    data = plan.write([y])
    expected = np.append(np.arange(1000), 7)
    with path.open("rb") as file:
        weights = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    opened = _kernels.Plan(memoryview(data), weights)
    references = sys.getrefcount(weights)
    np.testing.assert_array_equal(opened.run({"x": np.array([7], np.float32)})["y"], expected)
    assert sys.getrefcount(weights) == references
    with pytest.raises(ValueError, match=r"weights\.bin, which is missing"):
        _kernels.Plan(data)
    with pytest.raises(ValueError, match=r"reaches past the end of weights\.bin"):
        _kernels.Plan(data, weights[:3999])


def test_park_between_runs() -> None:
    plan = _kernels.Plan(doubling(), threads=2)
    x = np.ones(1_000_000, np.float32)
    for _ in range(3):
        assert plan.run({"x": x})["y"].sum(dtype=np.float64) == 2 * len(x)
        plan.park()
