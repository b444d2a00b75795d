"""``doctor``: everything it finds, as data; it answers where things are broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from graphopt.backends import registry
from graphopt.backends.base import Available, Unavailable
from graphopt.driver.doctor import DoctorReport, doctor
from graphopt.errors import BackendError, TargetError
from graphopt.targets import ceilings
from graphopt.targets.host import host_target


class Broken:
    def availability(self) -> Available:
        raise OSError("libfoo.so: cannot open")


def no_runtime() -> None:
    raise BackendError("its folder is damaged", "reinstall it")


BACKENDS = {
    "here": lambda: SimpleNamespace(availability=lambda: Available("1.2")),
    "missing": lambda: SimpleNamespace(
        availability=lambda: Unavailable("not installed", "pip install missing")
    ),
    "broken": Broken,
    "damaged": no_runtime,
}


@pytest.fixture
def four_backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "backend_packages", lambda: dict.fromkeys(BACKENDS, ""))
    monkeypatch.setattr(registry, "find_backend", lambda name: BACKENDS[name]())
    return


@pytest.mark.usefixtures("four_backends")
def test_backends_of_every_kind() -> None:
    report = doctor(ceilings=False)
    here, missing, broken, damaged = report.backends
    assert (here.available, here.version) == (True, "1.2")
    assert (missing.available, missing.reason, missing.fix) == (False, "not installed", "pip install missing")
    assert (broken.available, broken.reason) == (
        False,
        "it broke when asked: OSError: libfoo.so: cannot open",
    )
    assert (damaged.available, damaged.reason, damaged.fix) == (
        False,
        "its folder is damaged",
        "reinstall it",
    )
    assert report.can_compile


def test_this_machine() -> None:
    report = doctor(ceilings=False)
    assert report.target == host_target()
    assert 1 <= report.threads <= report.allowed_cpus
    assert report.packages["numpy"]
    assert report.packages["graphopt"]
    assert report.ceilings is None
    assert {backend.name for backend in report.backends} >= {"onnxruntime", "reference"}
    assert bool(report.gpus) != bool(report.gpu_reason)


def test_ceilings_that_cannot_be_had_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise TargetError("the ceilings cannot be measured: no memory", "free some")

    monkeypatch.setattr(ceilings, "measure_ceilings", refuse)
    report = doctor()
    assert report.ceilings is None
    assert report.ceilings_reason == "the ceilings cannot be measured: no memory (free some)"


def test_the_report_is_json() -> None:
    report = doctor(ceilings=False)
    assert isinstance(report, DoctorReport)
    value = json.loads(json.dumps(report.to_json()))
    assert value["target"]["isa"] == report.target.isa
    assert value["supported_isas"][-1] == report.target.isa
    assert value["ceilings"] is None
