"""WeChat's platform for the tests of this app: a fake one on a port of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from events import platform
from events.models import OfficialAccount
from events.simulator.fake_platform import FakeAccount, FakePlatform, FakePlatformServer
from events.testing import make_account

SECRET = "5d41402abc4b2a76b9719d911017c592"


@pytest.fixture
def shop(db: None) -> OfficialAccount:
    """An account that can call the platform."""
    return make_account(name="Spruce Books", app_secret=SECRET)


@pytest.fixture
def fake(settings: object) -> Iterator[FakePlatform]:
    """The platform that the site under test calls."""
    fake = FakePlatform(random=Random(1))
    fake.add_account("wx3a9f0c27d81be645", SECRET)
    with FakePlatformServer(fake) as server:
        settings.WECHAT_API_BASE = server.url  # type: ignore[attr-defined]
        yield fake
        platform.wire().close()
        platform._wire.cache_clear()


@pytest.fixture
def at_wechat(fake: FakePlatform) -> FakeAccount:
    """The account's side there."""
    return fake.account("wx3a9f0c27d81be645")


@pytest.fixture
def decoded(tmp_path: Path) -> Callable[[bytes], list[str]]:
    """Reads the QR codes in a PNG, as a phone would: an independent decoder."""
    if shutil.which("zbarimg") is None:
        without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        without("there is no zbarimg (Debian: apt-get install zbar-tools)")

    def decode(picture: bytes) -> list[str]:
        path = tmp_path / "code.png"
        path.write_bytes(picture)
        found = subprocess.run(
            ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(path)],
            capture_output=True,
            text=True,
            check=True,
            # It would tell a desktop about what it found.
            env={"PATH": os.environ["PATH"], "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        return found.stdout.splitlines()

    return decode
