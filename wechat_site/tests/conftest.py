from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wechat_site.tests.site import LIMIT, Site, site_of_its_own

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


@pytest.fixture(scope="session")
def prepared_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database that sites get copies of."""
    with site_of_its_own(tmp_path_factory.mktemp("prepared")) as site:
        yield site.environment["DATABASE_URL"]


@pytest.fixture
def site(tmp_path: Path, prepared_database: str) -> Iterator[Site]:
    with site_of_its_own(tmp_path, prepared_database) as site:
        yield site


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
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
