"""The collector passes by what was there before, and only for a while."""

import gc

import pytest

from graphopt.ir.memory import heap_at_rest


@pytest.fixture(autouse=True)
def _thawed():
    yield
    gc.unfreeze()


def test_what_is_there_rests_until_the_end():
    gc.unfreeze()
    with heap_at_rest():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_it_ends_when_something_goes_wrong():
    gc.unfreeze()
    with pytest.raises(ValueError, match="wrong"), heap_at_rest():
        raise ValueError("wrong")
    assert gc.get_freeze_count() == 0


def test_a_heap_that_rests_already_is_let_alone():
    gc.freeze()
    before = gc.get_freeze_count()
    made = [[] for _ in range(100)]
    with heap_at_rest():
        assert gc.get_freeze_count() == before
    assert gc.get_freeze_count() == before
    assert made
