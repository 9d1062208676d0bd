"""Fixtures for the tests of all apps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from subscribers.rebuild import compare


@pytest.fixture
def state_is_the_fold(db: None) -> Iterator[None]:
    """After the test, whatever it did, the followers are what the log says."""
    yield
    assert list(compare()) == []
