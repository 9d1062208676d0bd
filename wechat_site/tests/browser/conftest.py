from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wechat_site.tests.site import LIMIT

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """One for all tests of this package; it ends with them, as it keeps an event loop running."""
    if not os.path.exists(CHROMIUM):
        without = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        without("there is no Chromium (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

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
