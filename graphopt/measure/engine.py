"""What is measured: a named way of building a callable that does one inference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphopt.errors import UsageError


@dataclass(frozen=True)
class Engine:
    """A callable to be built and timed in a process of its own.

    Attributes:
        name: how reports call it; unique in a comparison.
        factory: ``package.module:function``. The function is called once in a fresh process with
            ``arguments`` as keywords and returns a callable of no arguments that does one whole
            inference: it returns only when the outputs are there.
        arguments: keyword arguments of the factory; JSON types, since they travel to the process.
        imports: modules the process imports before the factory is timed, so that loading a library
            and loading a model are told apart.
        environment: variables set in the process, over the caller's own.

    Raises:
        UsageError: the factory is not a dotted path or an argument is no JSON value.
    """

    name: str
    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        module, colon, function = self.factory.partition(":")
        if not (module and colon and function) or ":" in function:
            raise UsageError(
                f"the factory '{self.factory}' of engine '{self.name}' is no 'package.module:function'",
                "name a module-level function",
            )
        try:
            json.dumps(dict(self.arguments))
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"engine '{self.name}' has arguments that cannot be sent to a process: {error}",
                "pass paths, numbers, strings, lists and dicts only",
            ) from None
