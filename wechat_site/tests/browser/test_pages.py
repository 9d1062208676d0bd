"""The demo as an operator sees it, in Debian's Chromium."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from wechat_site.tests.launch import ROOT, free_port, is_free

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass
class Demo:
    url: str
    user_name: str
    password: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`manage.py demo` on a database of its own, from its start to Ctrl-C."""
    port = free_port()
    database = tmp_path_factory.mktemp("demo") / "demo.sqlite3"
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--port", str(port)],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"sqlite:///{database}",
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
    yield Demo(f"http://127.0.0.1:{port}", found[1], found[2])
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=300) == 0
    reader.join()
    process.stdout.close()
    assert is_free(port), "the server outlived the demo"


WORDS = {
    "zh-CN": {
        "dashboard": "概览", "followers": "粉丝", "latest": "最新事件", "new": "新增",
        "follow": "关注", "all_events": "此粉丝的全部事件", "older": "较早", "filters": "筛选",
        "text": "文本消息", "fields": "字段",
    },
    "en-US": {
        "dashboard": "Dashboard", "followers": "Followers", "latest": "Latest events",
        "new": "New", "follow": "follow", "all_events": "All events of this follower",
        "older": "Older", "filters": "Filters", "text": "text message", "fields": "Fields",
    },
}  # fmt: skip


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("language", WORDS)
def test_an_operator_looks_at_the_demo(demo, chromium, language, width):
    words = WORDS[language]
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=language)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((demo.url, "data:"))
            else problems.append(f"from outside: {request.url}")
        ),
    )

    def shows(text: str) -> None:
        page.get_by_text(text).first.wait_for(state="attached")
        width_over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert width_over <= 0, f"{page.url} is wider than the window"

    page.goto(f"{demo.url}/admin/")
    page.fill("input[name=username]", demo.user_name)
    page.fill("input[name=password]", demo.password)
    page.click("button[type=submit]")
    for word in ("dashboard", "followers", "latest", "new"):
        shows(words[word])

    # events arrive while the page is looked at, without a reload
    newest = page.locator("#latest a[href*='/eventlog/']").first
    before = newest.get_attribute("href")
    page.wait_for_function(
        "before => document.querySelector(\"#latest a[href*='/eventlog/']\")"
        ".getAttribute('href') !== before",
        arg=before,
    )

    page.goto(f"{demo.url}/admin/events/eventlog/?kind=text")
    shows(words["text"])
    rows = page.locator("#result_list tbody tr")
    assert rows.count() > 0
    assert page.locator("#result_list").get_by_text(words["text"]).count() >= rows.count()

    page.locator("#result_list a[href*='/eventlog/']").first.click()
    shows(words["fields"])
    shows("ToUserName")

    # a ticket is some eighty letters without a space
    page.goto(f"{demo.url}/admin/events/eventlog/?q=metro-2026")
    page.locator("#result_list a[href*='/eventlog/']").first.click()
    page.locator(".field-line .readonly").get_by_text(re.compile("^gQ")).first.wait_for()
    shows("Ticket")

    page.goto(f"{demo.url}/admin/subscribers/subscriber/")
    page.locator("#result_list a[href*='/subscriber/']").first.click()
    shows(words["all_events"])
    page.get_by_text(words["all_events"]).click()
    page.wait_for_load_state()
    assert "q=o" in page.url
    assert page.locator("#result_list tbody tr").count() > 0

    page.goto(f"{demo.url}/admin/events/officialaccount/")
    page.locator("#result_list a[href*='/officialaccount/']").first.click()
    page.wait_for_load_state()
    assert "/wechat/" in page.content()
    assert problems == []
    context.close()


def test_the_dashboard_is_refreshed_under_the_readers_eyes(demo, chromium):
    """Focus, scroll position and an opened table stay; the chart is drawn once more."""
    context = chromium.new_context(
        viewport={"width": 390, "height": 900}, locale="zh-CN", color_scheme="dark"
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(f"{demo.url}/admin/")
    page.fill("input[name=username]", demo.user_name)
    page.fill("input[name=password]", demo.password)
    page.click("button[type=submit]")
    page.clock.install()
    page.goto(f"{demo.url}/admin/?period=30")
    page.locator("#growth canvas[style*=width]").wait_for()
    page.locator("#growth summary").click()
    focused = page.locator("#growth details a").first
    focused.focus()
    before = page.evaluate(_PLACE)
    newest = page.locator("#latest tbody tr").first.get_attribute("data-key")
    for _ in range(20):
        page.clock.run_for(10_000)
        page.wait_for_load_state("networkidle")
        if page.locator("#latest tbody tr").first.get_attribute("data-key") != newest:
            break
    else:
        raise AssertionError("no event arrived")
    assert page.evaluate(_PLACE) == before
    assert page.locator("#growth details[open]").count() == 1
    assert page.evaluate("Object.keys(Chart.instances).length") == 1
    assert problems == []
    context.close()


# Where the reader is: what has the focus, and where that stands in the window.
_PLACE = """() => {
    const { activeElement } = document;
    return [activeElement.href, Math.round(activeElement.getBoundingClientRect().top)];
}"""


def test_the_api_documentation_needs_nothing_from_outside(demo, chromium):
    page = chromium.new_context().new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(f"{demo.url}/api/docs/")
    page.get_by_text("/api/v1/events/").first.wait_for()
    assert problems == []
    page.context.close()
