"""Operators write to followers and look after the work, in Debian's Chromium."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from events.simulator import Follower
from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, Fault, ListedFollowers
from events.simulator.pushes import Push
from wechat_site.tests.site import LIMIT, Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OPENID = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
SECRET = "5d41402abc4b2a76b9719d911017c592"
APP_ID = "wx3a9f0c27d81be645"
SEND = "/cgi-bin/message/custom/send"

WORDS = {
    "zh-CN": {
        "conversation": "对话", "sent": "已发送", "failed": "失败", "work": "后台任务",
        "again": "重试", "no_right": "该公众号没有发送客服消息的权限。", "needed": "必填项",
    },
    "en-US": {
        "conversation": "Conversation", "sent": "sent", "failed": "failed",
        "work": "Background tasks",
        "again": "Try again", "no_right": "has no right to send", "needed": "required",
    },
}  # fmt: skip

SEED = f"""
import time
from django.contrib.auth.models import User
from django.utils import timezone
from events.callback.build_event import build_event
from events.models import OfficialAccount
from events.log.process import deliver
from events.simulator.pushes import message_push
account = OfficialAccount.objects.get()
account.app_secret = "{SECRET}"
account.save()
User.objects.create_superuser("operator", password="operator")
push = message_push(account.original_id, "{OPENID}", int(time.time()), "text", 7,
    {{"Content": "你们几点关门？"}})
deliver([build_event(account, push.body, timezone.now())])
"""


@pytest.fixture
def platform() -> Iterator[FakeWeChatAPI]:
    fake = FakeWeChatAPI(random=Random(3))
    people = ListedFollowers([Follower(OPENID, is_following=True)])
    account = fake.add_account(APP_ID, SECRET, followers=people)
    account.note_push(Push(OPENID, int(time.time()), "text"))
    with FakeWeChatAPIServer(fake) as server:
        fake.url = server.url  # type: ignore[attr-defined]
        yield fake


def texts_sent(platform: FakeWeChatAPI) -> list[str]:
    return [
        sent.body["text"]["content"] if "text" in sent.body else sent.body["msgtype"]
        for sent in platform.account(APP_ID).sent
    ]


@pytest.mark.parametrize(("language", "width"), [("zh-CN", 390), ("en-US", 1400)])
def test_an_operator_writes_to_a_follower(
    site: Site,
    platform: FakeWeChatAPI,
    chromium: Any,
    language: str,
    width: int,
    tmp_path: Path,
):
    words = WORDS[language]
    site.environment["WECHAT_API_BASE"] = platform.url  # type: ignore[attr-defined]
    site.manage("shell", "-v0", "-c", SEED)
    site.start_web()
    site.start("manage.py", "worker")
    url = f"http://127.0.0.1:{site.port}"
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=language)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)

    def fits(name: str) -> None:
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over <= 0, f"{page.url} is wider than the window"

    def until_shown(text: str) -> None:
        """Reloads until the worker has done it."""
        deadline = time.monotonic() + LIMIT
        while not page.locator(".conversation").get_by_text(text, exact=True).count():
            assert time.monotonic() < deadline, page.locator(".conversation").inner_text()
            page.wait_for_timeout(300)
            page.reload()

    page.goto(f"{url}/admin/")
    page.fill("input[name=username]", "operator")
    page.fill("input[name=password]", "operator")
    page.click("button[type=submit]")

    page.goto(f"{url}/admin/subscribers/subscriber/")
    page.locator("#result_list a[href*='/subscriber/']").first.click()
    page.get_by_text(words["conversation"], exact=True).wait_for()
    assert "你们几点关门？" in page.locator(".conversation").inner_text()
    assert re.search(r"23.+5", page.locator(".window").inner_text())
    fits("follower")

    # Only the chosen kind's fields are there, and what is missing is said beside them.
    assert not page.locator("#id_media_id").is_visible()
    page.locator(".message-form button[type=submit]").click()
    page.wait_for_url("**/write/")
    assert words["needed"] in page.locator(".message-form").inner_text().lower()
    fits("form")
    page.fill("#id_content", "每天 22:00 关门 😀")
    page.locator(".message-form button[type=submit]").click()
    page.wait_for_url("**/change/#conversation")
    until_shown(words["sent"])
    assert texts_sent(platform) == ["每天 22:00 关门 😀"]

    page.check("input[name=kind][value=msgmenu]")
    page.fill("#id_head", "满意吗？")
    page.fill("#id_choices", "满意\n不满意")
    fits("choices")
    page.locator(".message-form button[type=submit]").click()
    page.wait_for_url("**/change/#conversation")
    deadline = time.monotonic() + LIMIT
    while len(texts_sent(platform)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert texts_sent(platform)[1] == "msgmenu"

    # What the platform refuses is seen, with its reason, and tried again on the page of the work.
    platform.make_trouble(SEND, Fault(errcode=48001))
    page.reload()
    page.fill("#id_content", "再见")
    page.locator(".message-form button[type=submit]").click()
    page.wait_for_url("**/change/#conversation")
    until_shown(words["failed"])
    assert words["no_right"] in page.locator(".conversation").inner_text()
    fits("conversation")
    page.goto(f"{url}/admin/subscribers/outgoingmessage/?state=failed")
    assert page.locator("#result_list tbody tr").count() == 1
    fits("list")
    page.locator("#result_list a[href*='/outgoingmessage/']").first.click()
    page.wait_for_load_state()
    assert "48001" in page.content()
    fits("message")
    page.goto(f"{url}/admin/events/taskrun/")
    page.get_by_text(words["work"], exact=True).first.wait_for(state="attached")
    assert words["no_right"] in page.locator(".work").first.inner_text()
    fits("work")
    page.get_by_role("link", name=words["again"], exact=True).click()
    page.wait_for_load_state()
    fits("again")
    page.get_by_role("button", name=words["again"], exact=True).click()
    page.wait_for_url("**/taskrun/")
    deadline = time.monotonic() + LIMIT
    while len(texts_sent(platform)) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert texts_sent(platform)[2] == "再见"
    page.reload()
    assert words["no_right"] not in page.locator(".work").first.inner_text()
    assert problems == []
    context.close()
