"""The demo as an operator sees it, in Debian's Chromium."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wechat_site.tests.browser.accessible import assert_accessible
from wechat_site.tests.browser.conftest import SETTINGS
from wechat_site.tests.browser.screen import Screen
from wechat_site.tests.launch import ROOT, free_port, is_free
from wechat_site.tests.site import LIMIT

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Events of the two weeks before; enough for several pages of a list, and for each kind.
PAST = 400


@dataclass
class Demo:
    url: str
    # Of the operator, who has signed in.
    session: str


@pytest.fixture(scope="module")
def demo(
    empty_database: str, chromium: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """`manage.py demo` on a database of its own, from its start to Ctrl-C."""
    port = free_port()
    database = tmp_path_factory.mktemp("demo") / "demo.sqlite3"
    shutil.copyfile(empty_database.removeprefix("sqlite:///"), database)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--port", str(port), "--past", str(PAST)],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"sqlite:///{database}",
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "FOLLOWER_SYNC_HOUR": "",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = ""
    while "Ctrl-C" not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    # Whatever else it says must not fill the pipe and stop it.
    reader = threading.Thread(target=process.stdout.read, daemon=True)
    reader.start()
    found = re.search(r"User name +(\S+).*Password +(\S+)", printed, re.DOTALL)
    assert found, printed
    url = f"http://127.0.0.1:{port}"
    session = sign_in(chromium, url, *found.groups())
    wait_for_past(database)
    yield Demo(url, session)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=LIMIT) == 0
    reader.join()
    process.stdout.close()
    assert is_free(port), "the server outlived the demo"


def sign_in(chromium: Any, url: str, user_name: str, password: str) -> str:
    """The session of the user, who signs in by the page for it."""
    with Screen.of(chromium, url, language="zh-CN", width=390) as screen:
        screen.goto("/admin/")
        screen.is_accessible("demo-sign-in")
        screen.page.fill("input[name=username]", user_name)
        screen.page.fill("input[name=password]", password)
        screen.page.click("button[type=submit]")
        screen.page.locator("#dashboard-live").wait_for()
        cookies = {cookie["name"]: cookie["value"] for cookie in screen.context.cookies()}
        return str(cookies["sessionid"])


def wait_for_past(database: Path) -> None:
    """Returns when followers have done what they did before."""
    deadline = time.monotonic() + LIMIT
    with closing(sqlite3.connect(database, timeout=LIMIT)) as connection:
        while True:
            [[count]] = connection.execute("SELECT count(*) FROM events_eventlog")
            # Some pushes are lost.
            if count > PAST * 0.8:
                return
            assert time.monotonic() < deadline, f"{count} events"
            time.sleep(0.2)


WORDS = {
    "zh-CN": {
        "dashboard": "概览", "followers": "粉丝", "latest": "最新事件", "new": "新增",
        "all_events": "此粉丝的全部事件", "text": "文本消息", "fields": "字段",
    },
    "en-US": {
        "dashboard": "Dashboard", "followers": "Followers", "latest": "Latest events",
        "new": "New", "all_events": "All events of this follower", "text": "text message",
        "fields": "Fields",
    },
}  # fmt: skip


def test_an_operator_looks_at_the_demo(demo, chromium):
    words, in_english = WORDS["zh-CN"], WORDS["en-US"]
    with Screen.of(chromium, demo.url, session=demo.session, language="zh-CN", width=390) as screen:
        page = screen.page
        rows = page.locator("#result_list tbody tr")

        def shows(name: str, *keys: str) -> None:
            for key in keys:
                page.get_by_text(words[key]).first.wait_for(state="attached")
            screen.fits(f"demo-{name}")
            screen.reads_in_other_language(*(in_english[key] for key in keys))

        screen.goto("/admin/")
        shows("dashboard", "dashboard", "followers", "latest", "new")

        screen.goto("/admin/events/eventlog/?kind=text")
        shows("events", "text")
        assert rows.count() > 0
        assert page.locator("#result_list").get_by_text(words["text"]).count() >= rows.count()
        page.locator("#result_list a[href*='/eventlog/']").first.click()
        page.get_by_text("ToUserName").first.wait_for(state="attached")
        shows("event", "fields")

        # a ticket is some eighty letters without a space
        screen.goto("/admin/events/eventlog/?q=metro-2026")
        page.locator("#result_list a[href*='/eventlog/']").first.click()
        page.locator(".field-line .readonly").get_by_text(re.compile("^gQ")).first.wait_for()
        screen.fits("demo-ticket")

        screen.goto("/admin/subscribers/subscriber/")
        page.locator("#result_list a[href*='/subscriber/']").first.click()
        page.get_by_text(words["all_events"]).first.wait_for(state="attached")
        shows("follower", "all_events")
        page.get_by_text(words["all_events"]).click()
        page.wait_for_url("**q=o**")
        rows.first.wait_for()

        screen.goto("/admin/events/officialaccount/")
        page.locator("#result_list a[href*='/officialaccount/']").first.click()
        page.wait_for_url("**/change/**")
        page.wait_for_load_state()
        assert "/wechat/" in page.content()
        shows("account")


def test_the_dashboard_is_refreshed_under_the_readers_eyes(demo, chromium):
    """Focus, scroll position and an opened table stay; the chart is drawn once more."""
    with Screen.of(
        *(chromium, demo.url),
        session=demo.session,
        language="zh-CN",
        width=390,
        color_scheme="dark",
    ) as screen:
        page = screen.page
        page.clock.install()
        screen.goto("/admin/?period=30")
        page.locator("#growth canvas[style*=width]").wait_for()
        page.locator("#growth summary").click()
        focused = page.locator("#growth details a").first
        focused.focus()
        before = page.evaluate(_PLACE)
        newest = page.locator("#latest tbody tr").first.get_attribute("data-key")
        deadline = time.monotonic() + LIMIT
        while page.locator("#latest tbody tr").first.get_attribute("data-key") == newest:
            assert time.monotonic() < deadline, "no event arrived"
            page.clock.run_for(10_000)
            page.wait_for_timeout(200)
        assert page.evaluate(_PLACE) == before
        assert page.locator("#growth details[open]").count() == 1
        assert page.evaluate("Object.keys(Chart.instances).length") == 1


# Where the reader is: what has the focus, and where that stands in the window.
_PLACE = """() => {
    const { activeElement } = document;
    return [activeElement.href, Math.round(activeElement.getBoundingClientRect().top)];
}"""


def test_the_api_documentation_needs_nothing_from_outside(demo, chromium):
    with Screen.of(chromium, demo.url) as screen:
        screen.goto("/api/docs/")
        screen.page.get_by_text("/api/v1/events/").first.wait_for()


@pytest.mark.parametrize(("language", "width"), [("zh-CN", 1400), ("en-US", 390)])
def test_nothing_on_the_pages_hinders_people(demo, chromium, language, width):
    with Screen.of(
        chromium, demo.url, session=demo.session, language=language, width=width
    ) as screen:
        for path in (
            "?period=30",
            *("events/eventlog/", "events/replyrule/", "events/replyrule/add/"),
            *("subscribers/subscriber/", "subscribers/conversation/", "subscribers/qrscene/"),
        ):
            screen.goto(f"/admin/{path}")
            assert_accessible(screen.page)
        # A keyboard gets past the navigation.
        screen.page.keyboard.press("Tab")
        screen.page.keyboard.press("Enter")
        assert screen.page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_a_desk_shows_all_columns_of_a_list(demo, chromium, language):
    with Screen.of(chromium, demo.url, session=demo.session, language=language) as screen:
        for path in (
            *("events/eventlog/", "events/messagetext/", "events/menuversion/"),
            *("subscribers/subscriber/", "subscribers/qrscene/", "subscribers/followersync/"),
            *("subscribers/outgoingmessage/", "subscribers/bindingscan/", "events/auditentry/"),
        ):
            screen.goto(f"/admin/{path}")
            hidden = screen.page.locator("#result_list").evaluate(_HIDDEN)
            assert hidden <= 0, f"{path} hides {hidden} pixels"


# How much of a table only scrolling shows.
_HIDDEN = """(table) => {
    const box = table.closest(".simplebar-content-wrapper");
    return box.scrollWidth - box.clientWidth;
}"""


def test_the_dashboard_is_short_on_a_phone_and_whole_on_paper(demo, chromium):
    with Screen.of(chromium, demo.url, session=demo.session, width=390) as screen:
        page = screen.page
        screen.goto("/admin/")
        table = page.locator("#menu table")
        assert not table.is_visible()
        page.locator("#menu .dashboard-unfold").click()
        table.wait_for()
        page.emulate_media(media="print")
        assert page.locator("#sources table").is_visible()
        assert not page.locator("#nav-sidebar").is_visible()
