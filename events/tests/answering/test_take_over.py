"""The console's own replies, as WeChat's documentation shows them, become rules of the draft."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from events.answering.publish_rules import draft_of, publish
from events.media.lend import reference
from events.menus.menu_words import entries
from events.models import AuditEntry, MediaFile, MenuVersion, ReplyRule
from events.rules.data import AnswerChoice, AnswerKind, How, On
from events.simulator.fake_api import Fault
from events.simulator.fake_api.fake_account import KeptMedia
from events.testing import make_account, message_xml, push, reply_in
from events.tests.media.test_media import picture
from wechat_site.tests.files import private_storage  # noqa: F401

pytestmark = pytest.mark.django_db

CONSOLE = {
    "is_add_friend_reply_open": 1,
    "is_autoreply_open": 1,
    "add_friend_autoreply_info": {"type": "text", "content": "感谢关注"},
    "message_default_autoreply_info": {"type": "text", "content": "请稍候"},
    "keyword_autoreply_info": {
        "list": [
            {
                "rule_name": "returns",
                "create_time": 1423028166,
                "reply_mode": "random_one",
                "keyword_list_info": [
                    {"type": "text", "match_mode": "contain", "content": "退货"},
                    {"type": "text", "match_mode": "equal", "content": "换"},
                ],
                "reply_list_info": [
                    {"type": "text", "content": "七天内可退"},
                    {"type": "img", "content": "media-1"},
                    {
                        "type": "news",
                        "news_info": {
                            "list": [
                                {
                                    "title": "退货须知", "author": "客服", "digest": "步骤",
                                    "show_cover": 1, "cover_url": "http://mmbiz.qpic.cn/c.jpg",
                                    "content_url": "http://mp.weixin.qq.com/s?x=1",
                                    "source_url": "",
                                }
                            ]
                        },
                    },
                ],
            },
            {
                "rule_name": "broken",
                "reply_mode": "reply_all",
                "keyword_list_info": [{"match_mode": "equal", "content": "长"}],
                "reply_list_info": [{"type": "text", "content": "字" * 700}],
            },
        ]
    },
}  # fmt: skip


def test_the_consoles_replies_become_a_draft_once(shop, at_wechat, capsys):
    at_wechat.auto_replies = CONSOLE
    call_command("take_over_replies", "shop")
    rules = draft_of(shop.pk)
    assert [(rule.trigger.on, rule.trigger.how, rule.trigger.words) for rule in rules[:2]] == [
        (On.MESSAGE, How.EQUAL, ("换",)),
        (On.MESSAGE, How.CONTAINS_ANY, ("退货",)),
    ]
    assert {rule.choice for rule in rules[:2]} == {AnswerChoice.ONE}
    kinds = [answer.kind for answer in rules[0].answers]
    assert kinds == [AnswerKind.TEXT, AnswerKind.IMAGE, AnswerKind.NEWS]
    assert rules[0].answers[2].url == "http://mp.weixin.qq.com/s?x=1"
    assert [(rule.name, rule.is_on) for rule in rules[2:3]] == [("broken", False)]
    assert [rule.trigger.on for rule in rules[3:]] == [On.FOLLOW, On.OTHER]
    call_command("take_over_replies", "shop")
    assert "0 rules added" in capsys.readouterr().out
    assert len(draft_of(shop.pk)) == 5
    # Nothing answers until it is published.
    assert push(shop, message_xml("text", Content="hi", MsgId=1)).content == b"success"
    publish(shop.pk, user=None)
    assert (
        reply_in(push(shop, message_xml("text", Content="hi", MsgId=2)), shop)["Content"]
        == "请稍候"
    )


def test_what_is_switched_off_or_absent_is_left_out(shop, at_wechat):
    call_command("take_over_replies", "shop")
    at_wechat.auto_replies = {**CONSOLE, "is_autoreply_open": 0, "is_add_friend_reply_open": 0}
    call_command("take_over_replies", "shop")
    assert not ReplyRule.objects.exists()
    with pytest.raises(CommandError, match="no account"):
        call_command("take_over_replies", "nobody")


def test_what_wechat_refuses_is_said(shop, at_wechat):
    shop.app_secret = "wrong"
    shop.save()
    with pytest.raises(CommandError, match="could not be asked"):
        call_command("take_over_replies", "shop")


MENU = {
    "button": [
        {"name": "营业时间", "type": "text", "value": "每天 9 点到 18 点"},
        {
            "name": "更多",
            "sub_button": {
                "list": [
                    {"name": "官网", "type": "view", "url": "https://www.example.com/"},
                    {
                        "name": "今日文章", "type": "news", "value": "M1",
                        "news_info": {"list": [{"content_url": "https://mp.weixin.qq.com/s/x"}]},
                    },
                    {"name": "海报", "type": "img", "value": "M2"},
                    {"name": "影片", "type": "video", "value": "https://video.example/1"},
                ]
            },
        },
    ]
}  # fmt: skip
PAGE = "/admin/events/replyrule/take-over/?account=shop"


def test_the_page_shows_what_becomes_of_replies_and_menu_and_takes_them(
    operator, shop, fake, at_wechat, private_storage  # noqa: F811
):  # fmt: skip
    at_wechat.auto_replies, at_wechat.console_menu = CONSOLE, MENU
    at_wechat.media["M2"] = KeptMedia("image", picture(), 2**40)
    make_account("other")
    asked = operator.post(PAGE)
    text = asked.content.decode()
    assert text.count('action="?account=shop"') == 2
    assert not ReplyRule.objects.exists()
    for said in (
        "七天内可退",
        "每天 9 点到 18 点",
        "It has a mistake here",
        "These cannot be taken over",
    ):
        assert said in text
    assert asked.context["left"] == ["影片"]
    take = {"take": "", "menu": "1"}
    assert "Something has changed" in operator.post(PAGE, take | {"seen": "x"}).content.decode()
    taken = operator.post(PAGE, take | {"seen": asked.context["found"].seen})
    version = MenuVersion.objects.get(origin="site")
    assert taken["Location"].endswith(f"/{version.pk}/change/")
    kinds = [(entry.button.type, entry.button.key) for entry in entries(version.content)]
    assert kinds == [
        ("click", "menu-1"), ("", ""), ("view", ""), ("view", ""), ("click", "menu-2-3"),
        ("video", ""),
    ]  # fmt: skip
    made = AuditEntry.objects.get(act="add", model="events.menuversion")
    assert (made.object_id, made.account, made.user_name) == (str(version.pk), shop, "operator")
    rules = draft_of(shop.pk)
    assert len(rules) == 7
    assert rules[-1].answers[0].media_id == reference(MediaFile.objects.get().pk)
    again = operator.post(PAGE).content.decode()
    assert again.count("already in the draft") == 7
    fake.make_trouble("/cgi-bin/get_current_autoreply_info", Fault(errcode=61004))
    assert "WeChat could not be asked" in operator.post(PAGE).content.decode()


def test_the_rules_of_a_menu_are_not_taken_without_the_menu(
    operator, shop, at_wechat, monkeypatch, private_storage  # noqa: F811
):  # fmt: skip
    def fails(*args, **kwargs):
        raise OperationalError("database is locked")

    at_wechat.auto_replies, at_wechat.console_menu = CONSOLE, MENU
    seen = operator.post(PAGE).context["found"].seen
    monkeypatch.setattr(MenuVersion, "save", fails)
    with pytest.raises(OperationalError):
        operator.post(PAGE, {"take": "", "menu": "1", "seen": seen})
    assert not ReplyRule.objects.exists()
    assert not AuditEntry.objects.filter(act="take_over").exists()
