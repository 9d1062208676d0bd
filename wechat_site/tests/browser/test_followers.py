"""An operator compares followers with WeChat's list, in Debian's Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, NumberedFollowers
from wechat_site.tests.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

APP_ID = "wx3a9f0c27d81be645"
SECRET = "5d41402abc4b2a76b9719d911017c592"

WORDS = {
    "zh-CN": {
        "sync": "同步粉丝", "new": "新增", "finished": "已完成", "import": "导入的粉丝",
        "refused": "不允许该公众号查询粉丝", "certified": "需要已认证的公众号",
    },
    "en-US": {
        "sync": "Sync followers", "new": "New", "finished": "finished",
        "import": "follower imported", "refused": "does not let this account",
        "certified": "takes a certified account",
    },
}  # fmt: skip

SEED = """
from django.contrib.auth.models import User
User.objects.create_superuser("operator", password="operator")
"""


@pytest.fixture
def platform(site: Site) -> Iterator[FakeWeChatAPI]:
    fake = FakeWeChatAPI(random=Random(3))
    fake.add_account(APP_ID, SECRET, followers=NumberedFollowers(3000))
    with FakeWeChatAPIServer(fake) as server:
        site.environment["WECHAT_API_BASE"] = server.url
        site.manage("add_account", "load", "--app-secret", SECRET)
        site.manage("shell", "-v0", "-c", SEED)
        site.start_web()
        yield fake


@pytest.mark.parametrize(("language", "width"), [("zh-CN", 1400), ("en-US", 390)])
def test_an_operator_syncs_followers(
    site: Site,
    platform: FakeWeChatAPI,
    chromium: Any,
    language: str,
    width: int,
    tmp_path: Path,
):
    words = WORDS[language]
    url = f"http://127.0.0.1:{site.port}/admin"
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=language)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)

    def fits(name: str) -> None:
        for of_window in (1790 - width, width):
            page.set_viewport_size({"width": of_window, "height": 900})
            page.screenshot(path=tmp_path / f"{name}-{of_window}.png", full_page=True)
            over = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert over <= 0, f"{page.url} is wider than {of_window}"

    def start() -> None:
        page.goto(f"{url}/events/officialaccount/")
        page.locator("#result_list a[href*='/officialaccount/']").first.click()
        page.wait_for_load_state()
        if width < 1024:
            page.get_by_text("more_horiz").click()
        page.locator("a[href*='sync_followers']").first.click()
        page.wait_for_url("**/followersync/add/**")

    page.goto(f"{url}/")
    page.fill("input[name=username]", "operator")
    page.fill("input[name=password]", "operator")
    page.click("button[type=submit]")

    # the button of the account's page, with the account chosen
    start()
    fits("start")
    page.locator("[name=_save]").first.click()
    page.wait_for_url(re.compile(r"/followersync/\d+/change/"))
    page.locator("[data-state=waiting]").wait_for()
    fits("waiting")

    # nobody reloads: the page follows the worker
    site.start("manage.py", "worker")
    page.locator("[data-state=finished]").wait_for()
    assert words["finished"] in page.content()
    assert re.search(rf"{words['new']}</th>\s*<td>3000</td>", page.content(), re.IGNORECASE)
    fits("finished")

    page.goto(f"{url}/subscribers/followersync/")
    assert page.locator("#result_list tbody tr").count() == 1
    fits("list")
    page.goto(f"{url}/subscribers/subscriber/")
    assert words["sync"] in page.content()
    page.locator("#result_list a[href*='/subscriber/']").first.click()
    page.wait_for_load_state()
    assert words["import"] in page.content()
    fits("follower")

    # an account that may not is told so before it asks
    platform.account(APP_ID).is_certified = False
    start()
    page.locator("[name=_save]").first.click()
    page.wait_for_url(re.compile(r"/followersync/\d+/change/"))
    page.locator("[data-state=failed]").wait_for()
    page.locator("a[href*='try_this_again']").first.wait_for(state="attached")
    fits("refused")
    assert words["certified"] in page.content()
    start()
    page.locator("[name=_save]").first.click()
    page.wait_for_load_state()
    assert words["refused"] in page.content()
    fits("explained")
    page.goto(f"{url}/")
    assert "48001" in page.content()
    fits("dashboard")
    assert problems == []
    context.close()
