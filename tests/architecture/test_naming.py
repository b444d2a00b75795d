"""One idea, one name: file ⇔ class ⇔ kebab name ⇔ text test ⇔ an entry in its package's tuple."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from graphopt.backends.registry import find_backend
from graphopt.pipeline.pass_base import Pass, kebab
from tests.architecture.tracked import ROOT

PASSES = ROOT / "passes"
BACKENDS = ROOT / "graphopt" / "backends"
TEXT_TESTS = ROOT / "tests" / "text"


def families() -> list[Path]:
    """The folders of passes that hold at least one."""
    return sorted({file.parent for file in PASSES.glob("*/*.py") if _is_pass_file(file)})


def pass_files() -> list[Path]:
    """Every file that holds a pass; helpers start with an underscore."""
    return sorted(file for file in PASSES.glob("*/*.py") if _is_pass_file(file))


def legalize_files() -> list[Path]:
    """Every file that holds a pass of a backend's legalisation."""
    return sorted(file for file in BACKENDS.glob("*/legalize/*.py") if _is_pass_file(file))


def _is_pass_file(file: Path) -> bool:
    return not file.name.startswith("_")


def classes_of(file: Path) -> list[type[Pass]]:
    """The passes defined in ``file``."""
    name = f"graphopt.{'.'.join(file.relative_to(_home(file)).with_suffix('').parts)}"
    module = importlib.import_module(name)
    return [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, Pass) and cls.__module__ == name
    ]


def _home(file: Path) -> Path:
    """The folder whose path is the module ``graphopt``: passes lie beside it and are installed into it."""
    return ROOT if file.is_relative_to(PASSES) else ROOT / "graphopt"


def _group(file: Path) -> str:
    """The group a pass is in: its folder, or the backend whose regions it legalises."""
    return file.parent.parent.name if file.parent.name == "legalize" else file.parent.name


def _id(file: Path) -> str:
    return f"{_group(file)}/{file.stem}"


@pytest.mark.parametrize("file", [*pass_files(), *legalize_files()], ids=_id)
def test_file_holds_the_pass_it_is_named_after(file: Path) -> None:
    [cls] = classes_of(file)
    stem = file.stem.replace("_", "-")
    assert cls.name() == kebab(cls.__name__)
    assert cls.name() in {stem, f"{_group(file)}-{stem}"}


@pytest.mark.parametrize("file", [*pass_files(), *legalize_files()], ids=_id)
def test_docstring_says_what_it_does_to_a_model(file: Path) -> None:
    [cls] = classes_of(file)
    text = inspect.getdoc(cls) or ""
    missing = [word for word in ("Before", "After", "Needs", "Keeps", "Skips") if f"{word}:" not in text]
    assert not missing, f"{cls.__name__} does not say {missing}"


@pytest.mark.parametrize("file", [*pass_files(), *legalize_files()], ids=_id)
def test_every_pass_has_a_text_test(file: Path) -> None:
    folder = TEXT_TESTS / _group(file)
    found = [path.name for path in folder.glob(f"{file.stem}*") if path.suffix == ".onnxtxt"]
    assert found, f"write {folder.relative_to(ROOT)}/{file.stem}.onnxtxt"


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_the_family_tuple_holds_every_file(family: Path) -> None:
    package = importlib.import_module(f"graphopt.passes.{family.name}")
    listed = getattr(package, f"{family.name.upper()}_PASSES")
    assert isinstance(listed, tuple)
    on_disk = {cls for file in pass_files() if file.parent == family for cls in classes_of(file)}
    assert {entry if isinstance(entry, type) else type(entry) for entry in listed} == on_disk


@pytest.mark.parametrize("backend", sorted({_group(file) for file in legalize_files()}))
def test_a_backend_lists_every_pass_of_its_legalisation(backend: str) -> None:
    listed = importlib.import_module(f"graphopt.backends.{backend}.legalize").LEGALIZE_PASSES
    on_disk = {cls for file in legalize_files() if _group(file) == backend for cls in classes_of(file)}
    assert isinstance(listed, tuple)
    assert set(listed) == on_disk
    assert {cls.backend for cls in listed} == {backend}
    assert find_backend(backend).legalize_passes == listed


def test_the_registry_holds_every_pass_once() -> None:
    passes = importlib.import_module("graphopt.passes")
    on_disk = {cls.name(): cls for file in pass_files() for cls in classes_of(file)}
    assert len(on_disk) == len(pass_files())
    registry = passes.registry()
    assert {name: registry.get(name) for name in on_disk} == on_disk


def test_the_tuple_of_backends_holds_every_folder() -> None:
    backends = importlib.import_module("graphopt.backends")
    # A folder without ``backend.py`` is shared by several: what runs on an NVIDIA GPU needs, in ``cuda``.
    folders = {path.parent.name for path in (ROOT / "graphopt" / "backends").glob("*/backend.py")}
    assert len(backends.ALL_BACKENDS) == len(folders)
    assert all(any(folder in str(entry) for entry in backends.ALL_BACKENDS) for folder in folders)


def test_package_files_only_list() -> None:
    """A package's ``__init__`` is empty or holds plain names: nothing registers itself on import."""
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.If)
    for folder in ("graphopt", "passes"):
        for file in (ROOT / folder).rglob("__init__.py"):
            body = ast.parse(file.read_text()).body
            strange = [node for node in body if not isinstance(node, allowed) and not _is_docstring(node)]
            assert not strange, f"{file.relative_to(ROOT)}:{strange[0].lineno}"


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
