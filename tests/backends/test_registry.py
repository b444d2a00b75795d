"""Backends are found by name, ours and third parties'; a clash is an error."""

from importlib import metadata
from pathlib import Path

import onnx_ir as ir
import pytest

import graphopt.backends
from graphopt.backends import ALL_BACKENDS, registry
from graphopt.backends.base import Available
from graphopt.errors import BackendError, UsageError
from graphopt.targets.parse import parse_target


@pytest.fixture
def plugged(monkeypatch):
    """Pretend some entry points are installed."""

    def plug(*entries):
        found = [metadata.EntryPoint(name, value, registry.ENTRY_POINT_GROUP) for name, value in entries]
        monkeypatch.setattr(registry.metadata, "entry_points", lambda group: found)
        registry.backend_packages.cache_clear()

    yield plug
    registry.backend_packages.cache_clear()


def test_the_tuple_names_every_backend_folder():
    folder = Path(graphopt.backends.__file__).parent
    assert sorted(ALL_BACKENDS) == sorted(p.parent.name for p in folder.glob("*/backend.py"))
    assert sorted(ALL_BACKENDS) == sorted(p.parent.name for p in folder.glob("*/load.py"))


def test_every_backend_has_its_own_name_and_a_loader():
    for backend in registry.all_backends():
        assert registry.find_backend(backend.name) is backend
        assert callable(registry.find_loader(backend.name))
        assert isinstance(backend.availability(), Available)


def test_a_backend_that_plugs_in_is_found(plugged):
    plugged(("other", "graphopt.backends.reference"))
    assert registry.find_backend("other").name == "reference"


def test_a_name_clash_is_an_error(plugged):
    plugged(("onnxruntime", "somebody.elses"))
    with pytest.raises(UsageError, match=r"two backends are called 'onnxruntime': .* and somebody\.elses"):
        registry.all_backends()


def test_a_broken_plugin_is_one_line(plugged):
    plugged(("broken", "no.such.package"))
    with pytest.raises(BackendError, match="backend 'broken' cannot be imported: No module named 'no'"):
        registry.find_loader("broken")


def test_an_unknown_backend_is_named():
    with pytest.raises(
        UsageError,
        match=r"there is no backend 'abacus' \(backends: tensorrt, native, onnxruntime, reference\)",
    ):
        registry.find_backend("abacus")
    with pytest.raises(BackendError, match="no backend 'abacus' is installed here"):
        registry.find_loader("abacus")


@pytest.mark.parametrize(
    ("body", "takers"),
    [
        ("y = Relu(x)", {"native", "onnxruntime", "reference"}),
        ("y = com.microsoft.Gelu(x)", {"onnxruntime"}),
        ("y = graphopt.Composite(x)", set()),
        ("y = other.Op(x)", set()),
    ],
)
def test_claims_look_at_domains(body, takers):
    opsets = '"" : 21, "com.microsoft" : 1, "graphopt" : 1, "other" : 1'
    model = ir.from_onnx_text(
        f"<ir_version: 10, opset_import: [{opsets}]>\ng (float[N] x, bool c) => (float[N] y) {{ {body} }}"
    )
    (node,) = model.graph
    cpu, gpu = parse_target("cpu:avx2"), parse_target("cuda:sm_86")
    claims = {backend.name: backend.claims(node, cpu) for backend in registry.all_backends()}
    assert {name for name, claim in claims.items() if claim.accepted} == takers
    assert all(claim.reason for claim in claims.values() if not claim.accepted)
    gpu_claims = {b.name for b in registry.all_backends() if b.claims(node, gpu).accepted}
    assert gpu_claims <= {"tensorrt", "onnxruntime"}
