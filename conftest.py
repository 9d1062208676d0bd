"""Fixtures for the tests of all apps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from events import directory, registry
from subscribers.rebuild import compare


@pytest.fixture
def state_is_the_fold(db: None) -> Iterator[None]:
    """After the test, whatever it did, the followers are what the log says."""
    yield
    assert list(compare()) == []


@pytest.fixture(autouse=True)
def current_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts and rules are never older than the database's: a test changes them as it likes."""
    monkeypatch.setattr(directory, "_MAX_AGE", 0)
    monkeypatch.setattr(directory, "_MAX_AGE_OF_A_MISS", 0)


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_projections", list(registry._projections))
    monkeypatch.setattr(registry, "_reply_handlers", dict(registry._reply_handlers))
    monkeypatch.setattr(registry, "_late_reply_senders", list(registry._late_reply_senders))


@pytest.fixture
def operator(client: Client, db: None) -> Client:
    """A browser in English, signed in as an operator who may do everything."""
    client.force_login(User.objects.create_superuser("operator"))
    client.cookies["django_language"] = "en"
    return client
