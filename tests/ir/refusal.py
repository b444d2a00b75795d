"""What a refusal must look like."""

from __future__ import annotations

import pytest

from graphopt.errors import ModelError
from graphopt.ir.load import load_model


def refused(source: object, *words: str) -> ModelError:
    """The error ``load_model`` raises; it must be one line, name every word, and say what to do."""
    with pytest.raises(ModelError) as caught:
        load_model(source)  # type: ignore[arg-type]
    error = caught.value
    assert "\n" not in str(error)
    assert error.hint, error.message
    assert len(error.message) < 400
    for word in words:
        assert word in str(error), str(error)
    return error
