"""Workers that behave, misbehave and must leave nothing behind."""

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from graphopt.errors import BackendError, UsageError
from graphopt.measure.engine import Engine
from graphopt.measure.memory import peak_rss_bytes, tree_peak_rss_bytes
from graphopt.measure.process import Worker

HERE = "tests.measure.engines"


def engine(function, **arguments):
    return Engine(function, f"{HERE}:{function}", arguments)


def gone(pid):
    """Whether a process has ended (a zombie of somebody else counts as ended)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    descriptors = psutil.Process().num_fds()
    yield
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert psutil.Process().num_fds() == descriptors


def test_a_worker_times_each_call():
    with Worker(engine("nap", seconds=0.003)) as worker:
        assert worker.warm_up(calls=2, seconds=0) >= 0.003
        samples = worker.run(5, settle=2)
    assert len(samples) == 5
    assert min(samples) >= 3_000_000
    assert worker.startup.first_run_seconds >= 0.003


def test_noise_on_stdout_does_not_break_the_conversation(capfd):
    with Worker(engine("noisy", seconds=0.0001)) as worker:
        assert len(worker.run(50)) == 50
    assert capfd.readouterr() == ("", "")


@pytest.mark.timing
def test_imports_are_told_apart_from_loading():
    slow = Engine("e", f"{HERE}:nap", {"seconds": 0.0}, imports=("tests.measure.slow_import",))
    with Worker(slow) as worker:
        assert worker.startup.import_seconds > worker.startup.load_seconds


def test_the_environment_reaches_the_engine():
    wanted = Engine("e", f"{HERE}:needs_environment", environment={"GRAPHOPT_TEST_WORD": "yes"})
    with Worker(wanted) as worker:
        assert len(worker.run(1)) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (engine("raises", message="no such model"), "ValueError: no such model"),
        (engine("raises_graphopt"), "input 'x' is missing (give it)"),
        (engine("not_callable"), "int, which cannot be called"),
        (engine("nap", wrong_argument=1), "TypeError"),
        (Engine("e", "tests.measure.no_such_module:f"), "ModuleNotFoundError"),
        (Engine("e", f"{HERE}:no_such_function"), "AttributeError"),
        (engine("exits", code=7), "ended with exit code 7 while starting"),
    ],
)
def test_an_engine_that_cannot_start_says_why(wrong, message):
    with pytest.raises(BackendError) as caught:
        Worker(wrong)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_crash_names_the_signal_and_the_last_words():
    with Worker(engine("crashes_after", calls=1)) as worker:
        with pytest.raises(BackendError) as caught:
            worker.run(3)
        assert "SIGSEGV while running; its last words: something terrible happened | at line 3" in str(
            caught.value
        )
        with pytest.raises(BackendError, match="has been closed"):
            worker.run(1)


def test_a_hang_ends_at_the_limit():
    with Worker(engine("hangs_after", calls=1), call_seconds=0.3) as worker:
        with pytest.raises(BackendError, match=r"did not finish running in 0\.\d+ s"):
            worker.run(1)
        assert gone(worker.pid)


def test_a_hang_while_loading_ends_at_the_limit():
    with pytest.raises(BackendError, match="did not finish starting"):
        Worker(engine("hangs_after", calls=0), load_seconds=1.0)


def test_garbage_in_the_reply_pipe_is_a_clear_error():
    with pytest.raises(BackendError, match="sent bytes that are no message"):
        Worker(engine("garbage"))


def test_a_worker_killed_from_outside_is_noticed_while_stopped():
    with Worker(engine("nap", seconds=0.001)) as worker:
        worker.stop()
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(BackendError, match="killed by SIGKILL"):
            worker.run(1)


def test_grandchildren_end_with_the_worker(tmp_path):
    file = tmp_path / "pid"
    with Worker(engine("with_child", pid_file=str(file))) as worker:
        worker.run(1)
        child = int(file.read_text(encoding="utf-8"))
        assert not gone(child)
    wait_until(lambda: gone(child))


def test_a_stopped_worker_does_not_use_the_processor(tmp_path):
    counter = tmp_path / "counter"
    counter.write_bytes(bytes(8))

    def read():
        return struct.unpack("<q", counter.read_bytes())[0]

    with Worker(engine("thread_spinning", seconds=0.001, counter_file=str(counter))) as worker:
        worker.run(1)
        wait_until(lambda: read() > 0)
        for _ in range(3):
            worker.stop()
            at_stop = read()
            time.sleep(0.05)
            assert read() == at_stop
            worker.resume()
            wait_until(lambda before=at_stop: read() > before)
        worker.stop()
        worker.run(1)  # continues by itself


def test_memory_is_the_engines_peak_and_not_its_current_size():
    with Worker(engine("hungry", megabytes=200)) as worker:
        worker.stop()  # can be asked while stopped
        assert worker.peak_rss_bytes() - worker.startup.rss_before_load_bytes > 190 << 20
        assert tree_peak_rss_bytes(worker.pid) >= peak_rss_bytes(worker.pid)
    with pytest.raises(BackendError, match="peak memory"):
        peak_rss_bytes(worker.pid)


def test_a_small_worker_of_a_large_parent_is_small():
    block = bytearray(b"x") * (300 << 20)
    with Worker(engine("nap", seconds=0.0)) as worker:
        assert worker.peak_rss_bytes() < len(block) // 3


def test_a_file_in_the_current_folder_is_not_taken_for_a_module(tmp_path, monkeypatch):
    root = str(Path(__file__).parents[2])
    monkeypatch.setattr(sys, "path", [root, *(entry for entry in sys.path if entry)])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise RuntimeError('imported by accident')", encoding="utf-8")
    with Worker(engine("nap", seconds=0.0)) as worker:
        assert len(worker.run(1)) == 1


@pytest.mark.parametrize("call", ["subprocess.Popen", "tempfile.TemporaryFile", "os.pipe"])
def test_a_process_that_cannot_be_started_is_one_line(monkeypatch, call):
    def exhausted(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(f"graphopt.measure.process.{call}", exhausted)
    with pytest.raises(
        BackendError, match="no process can be started for engine 'nap': Cannot allocate memory"
    ):
        Worker(engine("nap", seconds=0.0))


def test_an_interrupt_leaves_nothing_behind(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("graphopt.measure.process.receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Worker(engine("nap", seconds=0.0))


@pytest.mark.parametrize("stopped", [False, True])
def test_workers_die_with_an_owner_that_was_killed(tmp_path, stopped):
    file = tmp_path / "pids"
    program = (
        "import time\n"
        "from graphopt.measure.engine import Engine\n"
        "from graphopt.measure.process import Worker\n"
        f"w = Worker(Engine('e', '{HERE}:nap', {{'seconds': 0.001, 'pid_file': {str(file)!r}}}))\n"
        f"{'w.stop()' if stopped else 'pass'}\n"
        "print('ready', flush=True)\n"
        "time.sleep(3600)\n"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout.readline() == b"ready\n"
        worker = int(file.read_text(encoding="utf-8"))
        assert not gone(worker)
        owner.kill()
    wait_until(lambda: gone(worker))


@pytest.mark.parametrize("factory", ["", "module", "module:", ":function", "a:b:c"])
def test_a_factory_that_is_no_dotted_path_is_refused(factory):
    with pytest.raises(UsageError, match=r"package\.module:function"):
        Engine("e", factory)


def test_arguments_that_cannot_travel_are_refused():
    with pytest.raises(UsageError, match="cannot be sent"):
        Engine("e", "a:b", {"path": Path()})
