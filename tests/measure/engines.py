"""Engines whose speed and misbehaviour are known, for the tests of measuring."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path


def note_pid(pid_file):
    if pid_file:
        with Path(pid_file).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")


def clocked(seconds, pid_file=None):
    """Takes ``seconds``, give or take 2 %, on a clock of its own: the same however busy the machine is."""
    note_pid(pid_file)
    rng = random.Random(os.getpid())
    now = 0

    def call():
        nonlocal now
        now += round(seconds * 1e9 * rng.lognormvariate(0, 0.02))

    time.perf_counter_ns = lambda: now
    return call


def nap(seconds, pid_file=None):
    note_pid(pid_file)
    return lambda: time.sleep(seconds)


def noisy(seconds):
    """Prints like a library that believes it owns the terminal, also past Python's buffers."""
    os.write(1, b"\x00\x01gopt noise\n" * 10)
    os.write(2, b"warning: noise\n")

    def call():
        print("one more inference", flush=True)
        time.sleep(seconds)

    return call


def raises(message):
    raise ValueError(message)


def raises_graphopt():
    from graphopt.errors import FeedError

    raise FeedError("input 'x' is missing", "give it")


def not_callable():
    return 3


def crashes_after(calls, seconds=0.0):
    left = [calls]

    def call():
        left[0] -= 1
        time.sleep(seconds)
        if left[0] < 0:
            sys.stderr.write("something terrible happened\nat line 3\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGSEGV)

    return call


def exits(code):
    os._exit(code)


def hangs_after(calls, seconds=0.0):
    left = [calls]

    def call():
        left[0] -= 1
        time.sleep(seconds)
        if left[0] < 0:
            time.sleep(3600)

    return call


def with_child(pid_file):
    """Leaves a process of its own running, in a session of its own."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    Path(pid_file).write_text(str(child.pid), encoding="utf-8")
    return lambda: time.sleep(0.001)


def garbage():
    """Writes onto every descriptor but the standard ones, the reply pipe among them."""

    def call():
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, b"this is not the message you wait for")
            except OSError:
                continue

    return call


def hungry(megabytes):
    held = bytearray(b"x") * (megabytes << 20)
    del held
    return lambda: None


def thread_spinning(seconds, counter_file):
    """A background thread that never sleeps and counts into a file: what a spinning pool does."""
    import mmap
    import struct
    import threading

    with Path(counter_file).open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 8)

    def count():
        value = 0
        while True:
            value += 1
            memory[:8] = struct.pack("<q", value)
            time.sleep(0.0005)

    threading.Thread(target=count, daemon=True).start()
    return lambda: time.sleep(seconds)


def needs_environment():
    assert os.environ["GRAPHOPT_TEST_WORD"] == "yes"
    return lambda: None
