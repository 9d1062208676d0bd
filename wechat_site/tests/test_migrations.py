"""The tables are taken away and made again."""

from __future__ import annotations

import pytest

from wechat_site.tests.site import Site

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("app", ["subscribers", "events"])
def test_an_apps_migrations_are_undone_and_done_again(site: Site, app: str):
    site.manage("migrate", "-v0", app, "zero")
    site.manage("migrate", "-v0")
    site.manage("rebuild_subscribers", "--check")
