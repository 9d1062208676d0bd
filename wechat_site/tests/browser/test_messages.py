"""Operators write to followers and look after the work, in Debian's Chromium."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from events.simulator import Follower
from events.simulator.fake_api import Fault, ListedFollowers
from events.simulator.pushes import Push

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OPENID = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
SEND = "/cgi-bin/message/custom/send"

WORDS = {
    "zh-CN": {
        "conversation": "对话", "sent": "已发送", "failed": "失败", "work": "后台任务",
        "again": "重试", "no_right": "该公众号没有发送客服消息的权限。", "needed": "必填项",
    },
    "en-US": {
        "conversation": "Conversation", "sent": "sent", "failed": "failed",
        "work": "Background jobs",
        "again": "Try again", "no_right": "has no right to send", "needed": "required",
    },
}  # fmt: skip


def test_an_operator_writes_to_a_follower(shared_site, chromium):
    words, in_english = WORDS["zh-CN"], WORDS["en-US"]
    at_wechat = shared_site.at_wechat("messages")
    at_wechat.followers = ListedFollowers([Follower(OPENID, is_following=True)])
    at_wechat.note_push(Push(OPENID, int(time.time()), "text"))
    shared_site.say(OPENID, "你们几点关门？", at="messages")

    def until_tried(number: int) -> None:
        """Returns when a worker has brought so many messages of this account to their end."""
        tried = (
            "SELECT 1 FROM subscribers_outgoingmessage m "
            "JOIN events_officialaccount a ON a.id = m.account_id "
            "WHERE a.slug = 'messages' AND m.state IN ('sent', 'failed')"
        )
        shared_site.site.wait_until(lambda: len(shared_site.execute(tried)) == number)

    def texts_sent() -> list[str]:
        bodies = [sent.body for sent in at_wechat.sent]
        return [body["text"]["content"] if "text" in body else body["msgtype"] for body in bodies]

    with shared_site.screen(chromium, "messages", language="zh-CN", width=390) as screen:
        page = screen.page
        conversation = page.locator(".conversation")

        def send() -> None:
            with page.expect_navigation(url="**/change/#conversation"):
                page.locator(".message-form button[type=submit]").click()

        screen.goto("/admin/subscribers/subscriber/")
        page.locator("#result_list a[href*='/subscriber/']").first.click()
        page.get_by_text(words["conversation"], exact=True).wait_for()
        expect(conversation).to_contain_text("你们几点关门？")
        expect(page.locator(".window")).to_have_text(re.compile(r"23.+5|5/5.+23", re.DOTALL))
        screen.fits("messages-follower")
        screen.reads_in_other_language(in_english["conversation"])

        # Only the chosen kind's fields are there, and what is missing is said beside them.
        assert not page.locator("#id_media_id").is_visible()
        page.locator(".message-form button[type=submit]").click()
        page.wait_for_url("**/write/")
        expect(page.locator(".message-form")).to_contain_text(words["needed"])
        screen.fits("messages-form")
        page.fill("#id_content", "每天 22:00 关门 😀")
        send()
        until_tried(1)
        page.reload()
        conversation.get_by_text(words["sent"], exact=True).wait_for()
        assert texts_sent() == ["每天 22:00 关门 😀"]

        page.check("input[name=kind][value=msgmenu]")
        page.fill("#id_head", "满意吗？")
        page.fill("#id_choices", "满意\n不满意")
        screen.fits("messages-choices")
        send()
        until_tried(2)
        assert texts_sent()[1] == "msgmenu"

        # What the platform refuses is seen, with its reason, and tried again on the page of the
        # work.
        shared_site.api.make_trouble(SEND, Fault(errcode=48001))
        page.fill("#id_content", "再见")
        send()
        until_tried(3)
        page.reload()
        conversation.get_by_text(words["failed"], exact=True).wait_for()
        expect(conversation).to_contain_text(words["no_right"])
        screen.fits("messages-conversation")
        screen.reads_in_other_language(in_english["failed"], in_english["no_right"])
        screen.goto("/admin/subscribers/outgoingmessage/?state=failed")
        assert page.locator("#result_list tbody tr").count() == 1
        screen.fits("messages-list")
        page.locator("#result_list a[href*='/outgoingmessage/']").first.click()
        page.get_by_text("48001").first.wait_for(state="attached")
        screen.fits("messages-message")

    with shared_site.screen(chromium, "duty", language="zh-CN", width=390) as screen:
        page = screen.page
        screen.goto("/admin/events/taskrun/")
        page.get_by_text(words["work"], exact=True).first.wait_for(state="attached")
        failure = page.locator(".work li", has_text=words["no_right"])
        expect(failure).to_have_count(1)
        screen.fits("messages-work")
        screen.reads_in_other_language(in_english["work"], in_english["no_right"])
        failure.get_by_role("link", name=words["again"], exact=True).click()
        page.wait_for_url("**/try-again/**")
        screen.fits("messages-again")
        page.get_by_role("button", name=words["again"], exact=True).click()
        page.wait_for_url("**/taskrun/")
        shared_site.site.wait_until(lambda: len(texts_sent()) == 3)
        assert texts_sent()[2] == "再见"
        # The page looks for itself whether there is still a failure.
        expect(failure).to_have_count(0)
