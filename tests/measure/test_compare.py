import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from graphopt.errors import BackendError, UsageError
from graphopt.measure.compare import compare
from graphopt.measure.engine import Engine
from graphopt.measure.launch import BLOCK_SECONDS, block_calls
from graphopt.measure.process import Startup
from graphopt.measure.records import Block, Comparison, Conditions, Measured, Ratio, Verdict

HERE = "tests.measure.engines"


def clocked(name, seconds, **arguments):
    return Engine(name, f"{HERE}:clocked", {"seconds": seconds, **arguments})


@pytest.fixture(scope="module")
def found():
    engines = [
        clocked("base", 0.0026),
        clocked("twin", 0.0026),
        clocked("fast", 0.002),
        clocked("slow", 0.0036),
        Engine("broken", f"{HERE}:crashes_after", {"calls": 5}),
    ]
    return compare(
        engines,
        budget_seconds=1,
        min_rounds=30,
        precision=0,
        drop_failing=True,
        machine="test machine",
        threads=1,
        seed=1,
    )


def test_equal_engines_are_the_same(found):
    assert found.ratio("twin").verdict is Verdict.SAME


def test_a_faster_engine_is_faster_by_the_known_ratio(found):
    ratio = found.ratio("fast")
    assert ratio.verdict is Verdict.FASTER
    assert ratio.low <= ratio.median <= ratio.high
    assert 1.29 < ratio.median < 1.31


def test_a_slower_engine_is_slower(found):
    assert found.ratio("slow").verdict is Verdict.SLOWER


def test_a_broken_engine_is_set_aside_with_its_reason(found):
    assert "SIGSEGV" in found.failed["broken"]
    assert [engine.name for engine in found.engines] == ["base", "twin", "fast", "slow"]
    with pytest.raises(UsageError, match="SIGSEGV"):
        found.ratio("broken")


def test_the_record_holds_samples_control_and_conditions(found):
    conditions = found.conditions
    assert conditions.rounds >= 30
    assert conditions.launches == len(found.engine("base").startups) == len(found.control.rounds_by_launch)
    assert sum(found.control.rounds_by_launch) == conditions.rounds
    assert (conditions.machine, conditions.threads, conditions.stopped_by) == ("test machine", 1, "budget")
    for engine in (*found.engines, found.control):
        assert len(engine.blocks) == conditions.rounds
        assert engine.summary().n == len(engine.samples)
        assert engine.peak_rss_bytes >= engine.startup.rss_before_load_bytes
    assert found.control.name == "base (control)"
    plain = json.loads(json.dumps(found.to_json(samples=True)))
    assert plain["ratios"]["fast"]["verdict"] == "faster"
    assert "base" not in plain["ratios"]
    assert len(plain["engines"][0]["samples_ns"]) == conditions.rounds
    assert plain["conditions"]["date"].startswith("20")


def test_an_unknown_engine_is_named(found):
    with pytest.raises(UsageError, match="there are: base, twin"):
        found.ratio("nobody")


def test_precision_ends_a_comparison_early():
    engines = [clocked("a", 0.002), clocked("b", 0.004)]
    found = compare(engines, budget_seconds=60, precision=0.5, min_rounds=3, launches=2)
    assert found.conditions.stopped_by == "precision"
    assert found.engine("b").rounds_by_launch == (5, 5)
    assert len({startup.load_seconds for startup in found.engine("b").startups}) == 2


def test_engines_are_started_once_when_loading_is_dear():
    slow = Engine("slow", f"{HERE}:nap", {"seconds": 0.0}, imports=("tests.measure.slow_import",))
    found = compare([slow], budget_seconds=0.5, precision=0, launches=3)
    assert found.conditions.launches == 1


def test_the_smallest_number_of_rounds_is_run_whatever_the_budget():
    seen = []
    found = compare(
        [clocked("a", 0.0005)],
        budget_seconds=0,
        min_rounds=4,
        control=False,
        progress=lambda rounds, share: seen.append((rounds, share)),
    )
    assert found.conditions.rounds == 4
    assert [rounds for rounds, _ in seen] == [1, 2, 3, 4]
    assert found.control is None
    assert found.ratio("a").noise_low is None


@pytest.mark.parametrize("engine", ["crashes_after", "hangs_after"])
def test_a_failing_engine_raises_and_leaves_nothing(engine, tmp_path):
    pids = tmp_path / "pids"
    engines = [
        clocked("base", 0.001, pid_file=str(pids)),
        Engine("bad", f"{HERE}:{engine}", {"calls": 220, "seconds": 0.001}),  # warm-up takes at most 200
    ]
    with pytest.raises(BackendError, match=r"'bad' .* running"):
        compare(engines, budget_seconds=60, precision=0, call_seconds=1.5)
    assert len(pids.read_text(encoding="utf-8").split()) == 2
    assert not any(psutil.pid_exists(int(pid)) for pid in pids.read_text(encoding="utf-8").split())


def test_a_failing_baseline_raises_even_when_failures_are_tolerated():
    engines = [Engine("base", f"{HERE}:raises", {"message": "no"}), clocked("other", 0.001)]
    with pytest.raises(BackendError, match="'base' failed while starting: ValueError: no"):
        compare(engines, drop_failing=True)


def test_a_request_that_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="nothing to compare"):
        compare([])
    with pytest.raises(UsageError, match="share a name"):
        compare([clocked("a", 0.1), clocked("a", 0.2)])
    with pytest.raises(UsageError, match="share a name"):
        compare([clocked("a", 0.1), clocked("a (control)", 0.2)])
    with pytest.raises(UsageError, match="baseline 'c' is not among the engines: a, b"):
        compare([clocked("a", 0.1), clocked("b", 0.2)], baseline="c")


def test_ctrl_c_leaves_no_process_behind(tmp_path):
    pids = tmp_path / "pids"
    program = (
        "from graphopt.measure.compare import compare\n"
        "from graphopt.measure.engine import Engine\n"
        f"make = lambda name: Engine(name, '{HERE}:nap', {{'seconds': 0.001, 'pid_file': {str(pids)!r}}})\n"
        "compare([make('a'), make('b')], budget_seconds=600, precision=0,\n"
        "        progress=lambda rounds, share: rounds == 1 and print('running', flush=True))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", program]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as owner:
        assert owner.stdout.readline() == b"running\n"
        started = [int(pid) for pid in pids.read_text(encoding="utf-8").split()]
        assert len(started) == 3  # two engines and the control
        owner.send_signal(signal.SIGINT)
        _, errors = owner.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    end = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in started):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_block_length_follows_the_engines_own_latency():
    assert block_calls(10.0) == (1, 1)
    n, settle = block_calls(0.001)
    assert n == round(BLOCK_SECONDS / 0.001)
    assert settle < n
    n, settle = block_calls(0.0)
    assert n == 500
    assert settle <= n


def ratio(median, low, high, noise):
    return Ratio(median, low, high, noise, n=20)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (ratio(1.30, 1.25, 1.35, 0.02), "faster"),
        (ratio(1.01, 1.005, 1.015, 0.02), "same"),  # sure, but within the noise
        (ratio(1.30, 0.90, 1.60, 0.02), "same"),  # large, but not sure
        (ratio(0.70, 0.65, 0.75, 0.02), "slower"),
        (ratio(0.985, 0.98, 0.99, 0.02), "same"),
        (ratio(1.0, 1.0, 1.0, 0.02), "same"),
    ],
)
def test_verdicts(found, verdict):
    assert found.verdict == verdict
    assert found.to_json()["verdict"] == verdict


def comparison(base, control):
    def part(name, medians):
        return Measured(name, (Startup(0, 0, 0, 0),), 0, tuple(Block(m, (int(m),)) for m in medians))

    conditions = Conditions("", None, 1, (0, 0, 0), (0, 0, 0), "", 0, 0, len(base), 1, {}, 0, "budget")
    return Comparison("base", (part("base", base),), control and part("control", control), {}, conditions)


def test_noise_is_the_far_end_of_the_control():
    assert comparison([100] * 20, [100] * 20).noise == 0.01  # never less: a pair of processes can be lucky
    assert comparison([100] * 20, [80] * 20).noise == pytest.approx(0.25)
    assert comparison([80] * 20, [100] * 20).noise == pytest.approx(0.25)
    assert comparison([100] * 20, None).noise == 0.02


def test_a_plain_lead_ends_a_comparison():
    engines = [clocked("base", 0.004), clocked("fast", 0.002), clocked("slow", 0.0045)]
    found = compare(engines, budget_seconds=60, precision=0, clear=0.1)
    assert found.conditions.stopped_by == "clear"
    assert (found.conditions.rounds, found.conditions.launches) == (5, 1)
    assert found.ratio("fast").verdict is Verdict.FASTER


@pytest.mark.parametrize("other", [0.0019, 0.00205], ids=["behind", "ahead"])
def test_a_narrow_lead_does_not(other):
    engines = [clocked("base", 0.004), clocked("fast", 0.002), clocked("other", other)]
    found = compare(engines, budget_seconds=0.5, precision=0, clear=0.1)
    assert found.conditions.stopped_by == "budget"


def test_a_baseline_that_leads_its_rivals_need_not_lead_itself():
    found = compare(
        [clocked("base", 0.002), clocked("slow", 0.004)], budget_seconds=60, precision=0, clear=0.1
    )
    assert found.conditions.stopped_by == "clear"
    assert found.ratio("slow").verdict is Verdict.SLOWER
