"""The example package: installs, is found by name, does what docs/writing-a-pass.md says and prints."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "graphopt-tidy"
PAGE = (ROOT / "docs" / "writing-a-pass.md").read_text()


def blocks(language: str) -> list[str]:
    """The code blocks of the page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(arguments: list[str], site: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python with the packages of ``site`` on its path."""
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "120"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder the example is installed into, from a copy so that no build output lands in the tree."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, the example's build backend, is not installed: pip install 'graphopt[dev]'")
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)]
    done = run(["-m", "pip", "install", *options, str(EXAMPLE)], folder, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_is_found_by_name_and_prints_what_the_page_says(site: Path, tmp_path: Path) -> None:
    (make_model,) = [block for block in blocks("python") if "two_relus" in block]
    assert run(["-c", make_model], site, tmp_path).returncode == 0
    checked = 0
    for session in blocks("console"):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n?)*)", session, re.MULTILINE):
            if not command.startswith("graphopt "):
                continue
            arguments = re.findall(r'"([^"]*)"|(\S+)', command.removeprefix("graphopt "))
            done = run(["-m", "graphopt.cli.main", *(a or b for a, b in arguments)], site, tmp_path)
            assert done.returncode == 0, done.stderr
            printed = (done.stdout + done.stderr).splitlines()
            missing = [line for line in expected.splitlines() if line.strip() and line not in printed]
            assert not missing, (command, missing, printed)
            checked += 1
    assert checked == 2


def test_its_rule_is_proven(site: Path, tmp_path: Path) -> None:
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    done = run(arguments, site, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_page_shows_the_files_as_they_are() -> None:
    source = (EXAMPLE / "src" / "graphopt_tidy" / "drop_repeated_relu.py").read_text()
    assert source in blocks("python")
    body = source.split("\n\n\n", 1)[0] + source.split("\n\n\n", 1)[1]
    assert len([line for line in body.splitlines() if line.strip()]) <= 24
    proof = (EXAMPLE / "tests" / "test_drop_repeated_relu.py").read_text()
    assert any(block in proof for block in blocks("python"))
    pyproject = (EXAMPLE / "pyproject.toml").read_text()
    assert all(block in pyproject for block in blocks("toml"))


def test_the_rule_with_a_computed_right_side_is_right() -> None:
    """The page's second rule, proven; its two blocks are read from the page."""
    import numpy as np

    from graphopt.rewrite.draw import Draw
    from graphopt.rewrite.match import Match
    from graphopt.rewrite.proof import prove
    from graphopt.rewrite.replacement import Replacement
    from graphopt.rewrite.rule import Rule
    from tests.rules.proof import is_rounding, plain_runner

    def draw(case: Draw) -> None:
        case.input("x", "N", 4)
        case.constant("c", 0.5)
        case.constant("w", np.asarray(case.array(4, 3)))

    names: dict[str, object] = {"Match": Match, "Replacement": Replacement, "Rule": Rule}
    (function,) = [block for block in blocks("python") if block.startswith("def scaled")]
    exec(function, names)
    (shown,) = [block for block in blocks("python") if block.startswith("Rule(")]
    names["draw"] = draw
    exec("rule = " + shown.strip().removesuffix(")") + "    draw=draw,\n)", names)
    rule = names["rule"]
    assert isinstance(rule, Rule)
    assert prove(rule, plain_runner, agree=is_rounding) == 9
