"""Tests that need an NVIDIA GPU. Elsewhere each says why it is skipped, and the summary counts them."""

from __future__ import annotations

import pytest

from graphopt.backends.cuda.device import open_device
from graphopt.errors import GraphoptError


def pytest_collection_modifyitems(items):
    """Everything here carries the marker."""
    for item in items:
        if "tests/gpu/" in item.path.as_posix():
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(autouse=True)
def _counted(record_property, request):
    """Count what ran and what was skipped, whatever the reason."""
    try:
        open_device()
    except GraphoptError as error:
        record_property("gpu tests: skipped, no GPU here", 1)
        pytest.skip(error.message)
    record_property("gpu tests: on a GPU", 1)


@pytest.fixture
def device(_counted):
    """GPU 0."""
    return open_device()
