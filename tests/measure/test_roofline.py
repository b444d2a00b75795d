"""The table of kernels beside their roofs, from what the program prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import roofline

PRODUCT = {
    "case": "GEMM 8 by 8", "seconds": 2e-6, "roof": "peak", "share": 0.5, "operations": 1024.0,
    "bytes": 768.0, "peak": 1.024e9, "bandwidth": 1e10,
}  # fmt: skip
COPY = PRODUCT | {"case": "copy 192", "roof": "bandwidth", "share": 0.0384}
REFUSED = {"case": "conv of nothing", "error": "not supported"}


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """No compiler and no clock: the program's answer is known; the commands it was called with."""
    seen: list[list[str]] = []

    def run(*command: str) -> str:
        seen.append(list(command))
        threads = int(command[command.index("--threads") + 1])
        cases = [PRODUCT, COPY, REFUSED]
        return json.dumps({"isa": "avx2", "threads": threads, "rounds": 3, "cases": cases})

    monkeypatch.setattr(roofline, "build", lambda: Path("program"))
    monkeypatch.setattr(roofline, "_run", run)
    monkeypatch.setattr(roofline, "_RESULTS", tmp_path / "results")
    return seen


def test_a_record_and_a_table_per_number_of_threads(
    pretended: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roofline.main(["--threads", "1", "--threads", "2", "--only", "GEMM", "--rounds", "3"])
    assert [command[1:4] for command in pretended] == [["--json", "--threads", n] for n in "12"]
    assert pretended[0][4:] == ["--only", "GEMM", "--rounds", "3"]
    (path,) = (tmp_path / "results").iterdir()
    assert path.name.endswith("-roofline.json")
    record = json.loads(path.read_text("utf-8"))
    assert [run["threads"] for run in record["runs"]] == [1, 2]
    assert record["machine"]["processor"]
    assert "graphopt" in record["versions"]
    printed = capsys.readouterr().out
    for text in ("GEMM 8 by 8", "50.0%", "0.5 Gop/s", "0.4 GB/s", "not supported", "avx2, 2 threads"):
        assert text in printed


def test_no_record_when_none_is_wanted(pretended: list[list[str]], tmp_path: Path) -> None:
    roofline.main(["--threads", "1", "--no-record"])
    assert pretended
    assert not (tmp_path / "results").exists()


def test_a_program_that_fails_ends_in_its_own_words(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho no such case >&2\nexit 2\n")
    program.chmod(0o755)
    with pytest.raises(SystemExit, match="no such case"):
        roofline.measure(program, 1, [])
