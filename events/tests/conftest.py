"""WeChat's platform for the tests of this app: a fake one on a port of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from events import platform
from events.models import OfficialAccount
from events.simulator.fake_platform import FakeAccount, FakePlatform, FakePlatformServer
from events.testing import make_account

APP_SECRET = "5d41402abc4b2a76b9719d911017c592"


@pytest.fixture
def shop(db: None) -> OfficialAccount:
    """An account that can call the platform."""
    return make_account(name="Spruce Books", app_secret=APP_SECRET)


@pytest.fixture
def platform_of_site(settings: object) -> Iterator[FakePlatform]:
    """The platform that the site under test calls."""
    fake = FakePlatform(random=Random(1))
    fake.add_account("wx3a9f0c27d81be645", APP_SECRET)
    with FakePlatformServer(fake) as server:
        settings.WECHAT_API_BASE = server.url  # type: ignore[attr-defined]
        yield fake
        platform.wire().close()
        platform._wire.cache_clear()


@pytest.fixture
def at_wechat(platform_of_site: FakePlatform) -> FakeAccount:
    """The account's side there."""
    return platform_of_site.account("wx3a9f0c27d81be645")
