"""Read fields of untrusted JSON: each is checked for its type, each failure names the field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, overload

from graphopt.errors import ArtifactError

T = TypeVar("T")
_REQUIRED: Any = object()
_LARGEST = (1 << 63) - 1
_TYPE_NAMES = {str: "a string", int: "an integer", bool: "true or false", list: "a list", dict: "an object"}


class Fields:
    """A JSON object and the path that leads to it."""

    def __init__(self, raw: object, artifact: str, path: str) -> None:
        self._artifact = artifact
        self._path = path
        if not isinstance(raw, dict):
            raise ArtifactError(f"{artifact}: {path} is not an object")
        self._raw: dict[str, Any] = raw

    def error(self, key: str, problem: str) -> ArtifactError:
        """The exception that says what is wrong with one field."""
        return ArtifactError(f"{self._artifact}: field '{key}' of {self._path} {problem}")

    @overload
    def get(self, key: str, kind: type[T], *, minimum: int = ...) -> T: ...

    @overload
    def get(self, key: str, kind: type[T], default: None, *, minimum: int = ...) -> T | None: ...

    @overload
    def get(self, key: str, kind: type[T], default: T, *, minimum: int = ...) -> T: ...

    def get(self, key: str, kind: type[T], default: Any = _REQUIRED, *, minimum: int = -_LARGEST) -> T | None:
        """The field, which must be of ``kind``; missing or null gives ``default`` where there is one."""
        value = self._raw.get(key)
        if value is None:
            if default is _REQUIRED:
                raise self.error(key, "is missing")
            return default  # type: ignore[no-any-return]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"is not {_TYPE_NAMES[kind]}")
        if isinstance(value, int) and not minimum <= value <= _LARGEST:
            raise self.error(key, "is out of range")
        return value

    def items(self, key: str) -> Iterator[Fields]:
        """The objects of a list field."""
        for index, item in enumerate(self.get(key, list)):
            yield Fields(item, self._artifact, f"{self._path}/{key}[{index}]")

    def entries(self, key: str) -> Iterator[tuple[str, Fields]]:
        """The named objects of an object field."""
        for name, item in self.get(key, dict).items():
            yield name, Fields(item, self._artifact, f"{self._path}/{key}['{name}']")


def relative_name(name: str, item: Fields) -> str:
    """``name`` if it is a plain relative path with ``/`` that stays inside the artifact.

    Raises:
        ArtifactError: absolute, climbing out, empty or with characters no artifact uses.
    """
    parts = name.split("/")
    bad_character = any(c in "\\:" or ord(c) < 32 or "\ud800" <= c <= "\udfff" for c in name)
    if bad_character or len(name) > 1024 or any(part in ("", ".", "..") for part in parts):
        raise item.error("file", f"is not a path inside the artifact: {name[:80]!r}")
    return name
