"""The console's own replies, as WeChat's documentation shows them, become rules of the draft."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from events.answering.publish import draft_of, publish
from events.models import ReplyRule
from events.rules.data import AnswerKind, Choice, How, On
from events.testing import message_xml, push, reply_in

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
    assert {rule.choice for rule in rules[:2]} == {Choice.ONE}
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
