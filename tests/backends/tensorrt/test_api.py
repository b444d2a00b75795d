"""The types of TensorRT's API that we wrote down are those of the modules, and of the stubs others made."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import graphopt.backends.tensorrt as package
from graphopt.backends.tensorrt.module import find_library

TEXT = Path(package.__file__).with_name("api.pyi").read_text(encoding="utf-8")


def members():
    """(class of TensorRT, member, whether only tensorrt_rtx has it) for everything in our types."""
    lines = TEXT.splitlines()
    for part in ast.parse(TEXT).body:
        name = (
            re.fullmatch(r"``(\w+)``\.", ast.get_docstring(part) or "")
            if isinstance(part, ast.ClassDef)
            else None
        )
        if name is None:
            continue
        for item in part.body:
            text = (
                lines[item.lineno - 1]
                if not isinstance(item, ast.FunctionDef)
                else lines[item.end_lineno - 1]
            )
            if isinstance(item, ast.FunctionDef):
                yield name[1], item.name, "tensorrt_rtx only" in text
            elif isinstance(item, ast.AnnAssign):
                yield name[1], item.target.id, "tensorrt_rtx only" in text


MEMBERS = sorted(set(members()))


def test_there_are_members_of_every_class():
    assert len({name for name, *_ in MEMBERS}) == 9
    assert len(MEMBERS) > 25


@pytest.mark.parametrize(("name", "member", "only_rtx"), MEMBERS)
def test_tensorrt_rtx_has_it(name, member, only_rtx):
    assert hasattr(getattr(find_library("tensorrt_rtx").api, name), member)


@pytest.mark.parametrize(("name", "member", "only_rtx"), MEMBERS)
def test_the_stubs_of_tensorrt_have_it(name, member, only_rtx):
    body = re.search(rf"^class {name}\b.*?(?=^class |\Z)", stubs(), re.DOTALL | re.MULTILINE)
    assert body is not None
    found = re.search(rf"^    (?:def )?{member}\b", body[0], re.MULTILINE) is not None
    assert found is not only_rtx


def stubs():
    """The text of tensorrt-stubs; type checkers cannot read all of it, so it is searched."""
    spec = importlib.util.find_spec("tensorrt_bindings")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        path = Path(folder) / "tensorrt.pyi"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    pytest.skip("tensorrt-stubs is not installed")
