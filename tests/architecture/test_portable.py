"""Nothing in the project depends on one person's machine, and no model file is committed."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.tracked import ROOT, tracked_files

_MACHINE = ("/work/", "/root/", "/home/", "/opt/pypi", "/tmp/models", "/tmp/contract")
_REGISTRIES = ("pypi.org", "pythonhosted", "npmjs.org", "deb.debian.org", "huggingface.co")
_FORBIDDEN = re.compile("|".join(map(re.escape, _MACHINE + _REGISTRIES)))
_MODEL_SUFFIXES = {".onnx", ".gopt", ".npz", ".plan", ".engine"}
_MODEL_BYTES = 200_000


def test_no_machine_path_and_no_registry_host() -> None:
    offenders = []
    for path in tracked_files():
        if path == Path(__file__):
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        offenders += [
            f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
            for match in _FORBIDDEN.finditer(text)
        ]
    assert not offenders, "\n".join(offenders)


def test_no_model_is_committed() -> None:
    offenders = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.suffix in _MODEL_SUFFIXES and path.stat().st_size > _MODEL_BYTES
    ]
    assert not offenders, offenders
