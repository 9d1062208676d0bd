"""Fixtures for the tests of all apps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from subscribers.rebuild import compare


@pytest.fixture
def state_is_the_fold(db: None) -> Iterator[None]:
    """After the test, whatever it did, the followers are what the log says."""
    yield
    assert list(compare()) == []


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    """A browser in English, signed in as an operator who may do everything."""
    client.force_login(User.objects.create_superuser("operator"))
    client.cookies["django_language"] = "en"
    return client
