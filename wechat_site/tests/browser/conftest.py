from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from events.simulator.fake_api import FakeWeChatAPIServer
from wechat_site.tests.browser.shared_site import HeldAPI, SharedSite
from wechat_site.tests.site import LIMIT, site_of_its_own

SETTINGS = "wechat_site.tests.browser.settings"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing is drawn for anybody to see.
    "--disable-gpu-compositing",
    "--disable-software-rasterizer",
    "--num-raster-threads=1",
    "--mute-audio",
]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """One for all tests of this package; it ends with them, as it keeps an event loop running."""
    if not os.path.exists(CHROMIUM):
        without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        without("there is no Chromium (Debian: apt-get install chromium)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * LIMIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        browser.new_context = _patient(browser.new_context)  # type: ignore[method-assign]
        yield browser
        browser.close()


def _patient(new_context: Callable[..., Any]) -> Callable[..., Any]:
    """Contexts in which a page has time enough on the busiest machine."""

    def made(**options: Any) -> Any:
        context = new_context(**options)
        context.set_default_timeout(1000 * LIMIT)
        return context

    return made


@pytest.fixture(scope="package")
def shared_site(
    empty_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedSite]:
    """One site for all tests of this package but those of the demo, which is a site itself."""
    api = HeldAPI()
    with (
        FakeWeChatAPIServer(api) as server,
        site_of_its_own(
            tmp_path_factory.mktemp("shared"),
            empty_database,
            DJANGO_SETTINGS_MODULE=SETTINGS,
            LANGUAGE_CODE="en",
            OPENID_CONNECT="True",
            REQUIRE_SECOND_FACTOR="True",
            SCAN_SIGN_IN="True",
            WECHAT_API_BASE=server.url,
            # A test may hold the answers for as long as a page takes.
            WECHAT_API_READ_TIMEOUT=str(LIMIT),
        ) as site,
    ):
        shared = SharedSite(site, api)
        site.start_web()
        site.start("manage.py", "worker")
        yield shared
