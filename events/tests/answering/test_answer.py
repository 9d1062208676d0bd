"""Answers by rules, through the real callback, in the three modes."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.answering.publish_rules import publish
from events.log.process import process
from events.models import EventLog, ReplyRule, RuleHit
from events.rules.check import problems
from events.rules.data import (
    Answer,
    AnswerChoice,
    AnswerKind,
    Bound,
    Conditions,
    Follow,
    How,
    On,
    Rule,
    Trigger,
)
from events.rules.rule_answers import FIELDS
from events.simulator.judge_answer import check_answer
from events.simulator.pushes import event_push, message_push
from events.testing import make_account, make_rule, message_xml, push, reply_in
from subscribers.models import Binding, OutgoingMessage, QRScene, Subscriber

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

OPENID = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"


def text(content):
    return Answer(AnswerKind.TEXT, content=content)


def write(account, *rules):
    """Publishes these rules in their order."""
    for position, rule in enumerate(rules, start=1):
        row = ReplyRule(account=account, position=position)
        row.take(rule)
        row.save()
    return publish(account.pk, user=None)


def rule(
    *answers, on=On.MESSAGE, name="r", conditions=None, later=(), choice=AnswerChoice.ALL, **trigger
):
    return Rule(
        0, name, Trigger(on, **trigger), conditions or Conditions(), answers, choice, tuple(later)
    )


def said(account, kind="text", **fields):
    response = push(account, message_xml(kind, **fields))
    return reply_in(response, account).get("Content") if response.content != b"success" else None


@pytest.fixture
def account():
    return make_account(name="Spruce Books")


def test_the_first_rule_that_fits_answers_and_is_counted(account):
    write(
        account,
        rule(text("returns"), name="returns", how=How.CONTAINS_ANY, words=("退货", "换货")),
        rule(text("pictures"), name="pictures", kind="image"),
        rule(text("else"), name="else", on=On.OTHER),
    )
    assert said(account, Content="我想退货！", MsgId=1) == "returns"
    assert said(account, "image", MediaId="m", MsgId=2) == "pictures"
    assert said(account, "voice", MediaId="m", MsgId=3) == "else"
    assert said(account, "event.CLICK", EventKey="K") is None
    names = dict(ReplyRule.objects.values_list("pk", "name"))
    hits = RuleHit.objects.order_by("event_id").values_list("rule_id", flat=True)
    assert [names[pk] for pk in hits] == ["returns", "pictures", "else"]


def test_a_draft_answers_nobody_until_it_is_published(account):
    live = make_rule(account, "text", content="live")
    ReplyRule.objects.create(
        account=account, name="new", trigger={"on": "message"},
        answers=[{"kind": "text", "content": "draft"}],
    )  # fmt: skip
    live.delete()
    assert said(account, Content="x", MsgId=1) == "live"
    publish(account.pk, user=None)
    assert said(account, Content="x", MsgId=2) == "draft"


def test_what_the_follower_is_decides_and_fills_texts(account):
    write(
        account,
        rule(text("again, {remark|friend}"), on=On.FOLLOW, follow=Follow.AGAIN),
        rule(text("welcome by {code|?}"), on=On.FOLLOW),
        rule(text("member {user}"), conditions=Conditions(bound=Bound.YES)),
        rule(text("tagged {remark}"), conditions=Conditions(tags=frozenset({7}))),
    )
    QRScene.objects.create(account=account, scene="door", name="The door", due_at=None)
    at = int(timezone.now().timestamp()) - 60
    assert said(account, "event.subscribe", EventKey="qrscene_door", at=at) == "welcome by The door"
    assert said(account, Content="x", MsgId=1) is None
    push(account, message_xml("event.unsubscribe", at=at + 10))
    assert said(account, "event.subscribe", at=at + 20) == "again, friend"
    Subscriber.objects.update(tag_ids="3,7", remark="Li")
    assert said(account, Content="x", MsgId=2) == "tagged Li"
    user = User.objects.create_user("wang.fang")
    Binding.objects.create(
        account=account,
        subscriber=Subscriber.objects.get(),
        user=user,
        bound_at=timezone.now(),
        event_id=1,
        event_time=timezone.now(),
    )
    assert said(account, Content="x", MsgId=3) == "member wang.fang"


def test_further_answers_are_queued_once_each_after_its_delay(account):
    write(
        account,
        rule(
            text("one"),
            text("two"),
            later=[Answer(AnswerKind.IMAGE, media_id="m", delay=600)],
        ),
    )
    xml = message_xml("text", Content="x", MsgId=1)
    first = push(account, xml)
    assert reply_in(first, account)["Content"] == "one"
    push(account, xml)
    process(EventLog.objects.get())
    queued = list(OutgoingMessage.objects.order_by("pk"))
    assert [(message.kind, message.payload) for message in queued] == [
        ("text", {"content": "two"}),
        ("image", {"media_id": "m"}),
    ]
    waits = [round((message.due_at - message.created_at).total_seconds()) for message in queued]
    assert waits == [1, 600]
    assert RuleHit.objects.count() == 1


def test_what_has_no_passive_reply_goes_out_as_a_message(account):
    write(account, rule(Answer(AnswerKind.ARTICLE, article_id="a1")))
    assert push(account, message_xml("text", Content="x", MsgId=1)).content == b"success"
    event = EventLog.objects.get()
    assert (event.reply, event.answered_by) == ("", EventLog.AnsweredBy.MESSAGE)
    assert OutgoingMessage.objects.get().payload == {"article_id": "a1"}


def test_outside_the_window_nothing_is_queued(account, settings):
    settings.MESSAGE_WINDOWS = dict.fromkeys(("message", "menu", "follow", "scan"), (0, 60))
    write(account, rule(text("one"), later=[text("two")]))
    assert said(account, Content="x", MsgId=1) == "one"
    assert not OutgoingMessage.objects.exists()


def test_nothing_is_an_answer(account):
    write(account, rule(Answer(AnswerKind.NOTHING), how=How.EQUAL, words=("ok",)), rule(text("?")))
    assert said(account, Content="OK！", MsgId=1) is None
    assert said(account, Content="what", MsgId=2) == "?"
    assert RuleHit.objects.count() == 2


def test_a_push_that_no_rule_concerns_asks_the_database_no_more(account):
    def queries(kind, number):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            push(account, message_xml(kind, MediaId="m", MsgId=number))
        return len(asked)

    queries("image", 1)
    before = queries("image", 2)
    write(account, rule(text("texts"), kind="text"), rule(text("menu"), on=On.MENU))
    queries("image", 3)
    assert queries("image", 4) == before


# --- Every XML that a rule can make --------------------------------------------------------------

LONG = {"title": "标题 <b>&]]>", "description": "多行\n描述 😀", "content": "字" * 680 + "]]>"}
KINDS = [kind for kind in AnswerKind if kind not in {"article", "miniprogram", "nothing"}]


def filled(kind, only_needed):
    texts = {}
    for name, is_needed in FIELDS[kind].items():
        if is_needed or not only_needed:
            texts[name] = LONG.get(name, "https://x.example/?a=1&b=<2>" if "url" in name else "m-1")
    return Answer(kind, **texts)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["plaintext", "compatible", "safe"])
def test_wechat_takes_every_reply_that_a_rule_can_make(mode):
    account = make_account(mode=mode)
    credentials = account.credentials(timezone.now())
    now = int(timezone.now().timestamp())
    cases = [filled(kind, needed) for kind in KINDS for needed in (True, False)]
    ways = [
        (
            On.MESSAGE,
            lambda n: message_push(account.original_id, OPENID, now, "text", n, {"Content": "x"}),
        ),
        (
            On.OTHER,
            lambda n: message_push(account.original_id, OPENID, now, "image", n, {"MediaId": "m"}),
        ),
        (On.MENU, lambda n: event_push(account.original_id, OPENID, now + n, "CLICK", "K")),
        (On.SCAN, lambda n: event_push(account.original_id, OPENID, now + n, "SCAN", "door")),
        (On.FOLLOW, lambda n: event_push(account.original_id, OPENID, now + n, "subscribe", "")),
    ]
    number = 0
    for on, made in ways:
        for answer in cases:
            asked = rule(answer, on=on)
            if problems(asked):
                assert answer.kind in {AnswerKind.AGENT, AnswerKind.AI}
                continue
            number += 1
            ReplyRule.objects.all().delete()
            write(account, asked)
            pushed = made(number)
            response = push(account, pushed.body)
            assert check_answer(
                response.content, pushed, credentials=credentials, original_id=account.original_id
            ), (on, answer)


def test_one_at_random_is_the_same_for_the_same_event(account):
    write(account, rule(*(text(str(n)) for n in range(5)), choice=AnswerChoice.ONE))
    at = int((timezone.now() - datetime.timedelta(minutes=5)).timestamp())
    answers = [said(account, Content="x", MsgId=n, at=at + n) for n in range(1, 31)]
    assert answers == [said(account, Content="x", MsgId=n, at=at + n) for n in range(1, 31)]
    assert len(set(answers)) > 2
    assert not OutgoingMessage.objects.exists()
