"""A file that outgrows its size is two ideas."""

from __future__ import annotations

from tests.architecture.tracked import ROOT, tracked_files

LIMITS = {".py": 450, ".cpp": 500, ".cc": 500, ".h": 500, ".cu": 500}
# Tables of data, not ideas.
EXEMPT = {"benchmarks/zoo/catalog.py"}


def test_files_stay_short() -> None:
    long = []
    for path in tracked_files():
        name = str(path.relative_to(ROOT))
        lines = path.read_bytes().count(b"\n")
        if name not in EXEMPT and lines > LIMITS.get(path.suffix, lines):
            long.append(f"{name}: {lines} lines")
    assert not long, long
