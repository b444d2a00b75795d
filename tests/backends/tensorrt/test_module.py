"""TensorRT is found, or it is said in one line why not and what mends it."""

import subprocess
import sys
import types

import pytest

from graphopt.backends.tensorrt import module
from graphopt.errors import BackendError


@pytest.fixture
def fresh():
    """Look again: what is installed was remembered."""
    module.find_library.cache_clear()
    yield
    module.find_library.cache_clear()


def test_the_library_of_this_machine_has_a_title():
    library = module.find_library("tensorrt_rtx")
    assert library.title == f"TensorRT-RTX {library.version}"
    assert library in module.libraries()


def test_its_files_are_listed_in_loading_order():
    names = [path.name.partition(".")[0] for path in module.library_files()]
    assert names == ["libcudart", "libtensorrt_rtx", "libtensorrt_onnxparser_rtx"]


def test_an_unknown_name_is_an_error():
    with pytest.raises(BackendError, match=r"no TensorRT module 'tensort' \(known: tensorrt, tensorrt_rtx\)"):
        module.find_library("tensort")


def test_a_missing_module_names_the_command_that_installs_it(fresh, monkeypatch):
    monkeypatch.setattr(module, "_installed", lambda name: False)
    for name, extra in (("tensorrt", "tensorrt"), ("tensorrt_rtx", "tensorrt-rtx")):
        with pytest.raises(BackendError, match=rf"is not installed \(pip install 'graphopt\[{extra}\]'\)"):
            module.find_library(name)
    assert module.libraries() == ()


def test_a_module_that_cannot_be_imported_is_one_line(fresh, monkeypatch):
    def broken(name):
        raise ImportError("libnvinfer.so.10: cannot open shared object file:\n No such file or directory")

    monkeypatch.setattr(module, "_installed", lambda name: True)
    monkeypatch.setattr(module, "import_module", broken)
    with pytest.raises(
        BackendError, match=r"TensorRT cannot be imported: libnvinfer\.so\.10: .* file or dir"
    ):
        module.find_library("tensorrt")


def test_an_old_version_is_refused(fresh, monkeypatch):
    monkeypatch.setattr(module, "_installed", lambda name: True)
    monkeypatch.setattr(module, "import_module", lambda name: types.SimpleNamespace(__version__="8.6.1"))
    with pytest.raises(BackendError, match=r"TensorRT 8\.6\.1 is older than 10\.0"):
        module.find_library("tensorrt")


def test_a_folder_of_stubs_is_not_an_installation(fresh, monkeypatch, tmp_path):
    (tmp_path / "tensorrt").mkdir()
    (tmp_path / "tensorrt" / "__init__.pyi").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    assert not module._installed("tensorrt")


def test_bindings_of_another_version_than_their_library_are_refused(fresh, monkeypatch):
    monkeypatch.setattr(module, "import_module", lambda name: types.SimpleNamespace(__version__="1.8.0.2"))
    with pytest.raises(
        BackendError, match=r"bindings of TensorRT-RTX are 1\.8\.0\.2, its library is 1\.7\.1"
    ):
        module.find_library("tensorrt_rtx")


def test_a_damaged_library_is_named(fresh, monkeypatch):
    def damaged(path):
        raise OSError(f"{path}: invalid ELF header")

    monkeypatch.setattr(module, "_load", damaged)
    with pytest.raises(BackendError, match=r"libcudart\.so\.\S+ cannot be loaded: .*invalid ELF header"):
        module.find_library("tensorrt_rtx")


def test_nothing_is_imported_before_it_is_needed():
    code = (
        "import sys, graphopt, graphopt.backends.tensorrt.backend as b\n"
        "from graphopt.targets.parse import parse_target\n"
        "import onnx_ir as ir\n"
        "node = ir.node('Relu', [ir.Value(name='x')])\n"
        "assert not b.BACKEND.claims(node, parse_target('cpu')).accepted\n"
        "assert not {'tensorrt', 'tensorrt_rtx_bindings', 'cuda', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
