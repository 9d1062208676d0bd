from __future__ import annotations

from collections.abc import Iterator

import pytest

from events.models import OfficialAccount
from events.testing import make_account
from subscribers.tests.webhooks.receiver import Receiver, running
from subscribers.webhooks import post


@pytest.fixture
def account(db) -> OfficialAccount:
    return make_account("shop", mode="plaintext")


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    settings.WEBHOOK_PRIVATE_ADDRESSES = True
    settings.WEBHOOK_SECONDS = 5
    receiver = Receiver()
    with running(receiver):
        yield receiver
        post._pool().close()
        post._pool.cache_clear()
