"""The operators' pages for reply rules."""

from __future__ import annotations

import datetime
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from events.answering.publish import publish
from events.models import AuditEntry, ReplyRule, RuleHit, RuleVersion
from events.rules.data import AnswerKind, Hours, How, On
from events.testing import make_account, make_rule, message_xml, push, reply_in

pytestmark = pytest.mark.django_db

LIST = "/admin/events/replyrule/"
ADD = "/admin/events/replyrule/add/"


@pytest.fixture
def account():
    return make_account(name="Spruce Books")


def seen(response):
    found = re.search(r'name="seen" value="(\w+)"', response.content.decode())
    return found[1]


def words_of(response):
    text = re.sub(
        r"<script.*?</script>|<style.*?</style>", "", response.content.decode(), flags=re.S
    )
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def order_now():
    return list(ReplyRule.objects.order_by("position").values_list("pk", flat=True))


def form(account, **fields):
    return {
        "account": account.pk, "on": "message", "message_kind": "text", "how": "contains_any",
        "words": "退货\r\n换货", "is_active": "on", "answers0-kind": "text",
        "answers0-content": "七天内可退", **fields,
    }  # fmt: skip


def test_a_rule_is_written_published_and_answers(operator, account):
    assert operator.post(ADD, form(account)).status_code == 302
    rule = ReplyRule.objects.get().rule
    assert (rule.name, rule.trigger.on, rule.trigger.how) == (
        "退货, 换货",
        On.MESSAGE,
        How.CONTAINS_ANY,
    )
    assert rule.trigger.words == ("退货", "换货")
    assert "new, not published" in words_of(operator.get(LIST))
    xml = message_xml("text", Content="我要换货", MsgId=1)
    assert push(account, xml).content == b"success"
    page = f"/admin/events/replyrule/publish/{account.pk}/"
    shown = operator.get(page)
    assert "New: 退货, 换货" in words_of(shown)
    assert operator.post(page, {"seen": seen(shown), "note": "first"}).status_code == 302
    assert (AuditEntry.objects.latest("pk").act, RuleVersion.objects.get().note) == (
        "publish_rules", "first",
    )  # fmt: skip
    answer = push(account, message_xml("text", Content="我要换货", MsgId=2))
    assert reply_in(answer, account)["Content"] == "七天内可退"
    listed = words_of(operator.get(LIST))
    assert "not published" not in listed
    assert "7 days 1" in listed


def test_all_that_was_written_is_shown_again(operator, account):
    written = form(
        account, weekdays=["0", "4"], hours_since="18:00", hours_until="09:00", is_outside="on",
        since="2026-12-01T08:00", until="2026-12-31T20:00", tags="2, 101", bound="yes",
        choice="one", **{
            "answers1-kind": "news", "answers1-title": "T", "answers1-url": "https://x.example/",
            "later0-kind": "text", "later0-content": "还在吗？", "later0-delay": "600",
        },
    )  # fmt: skip
    assert operator.post(ADD, written).status_code == 302
    row = ReplyRule.objects.get()
    rule = row.rule
    assert rule.conditions.hours == Hours(datetime.time(18), datetime.time(9), is_outside=True)
    assert rule.conditions.since == datetime.datetime(2026, 12, 1, 8)
    assert rule.conditions.weekdays == {0, 4}
    assert [a.kind for a in rule.answers] == [AnswerKind.TEXT, AnswerKind.NEWS]
    assert rule.later[0].delay == 600
    page = reverse("admin:events_replyrule_change", args=[row.pk])
    shown = operator.get(page).content.decode()
    for value in ("2026-12-01T08:00", "18:00", "2, 101", "还在吗？", "https://x.example/"):
        assert value in shown
    fields = {
        found[1]: found[2]
        for found in re.finditer(
            r'<input type="(?:time|datetime-local)" name="(\w+)" value="([^"]+)"', shown
        )
    }
    assert fields["hours_since"] == "18:00"
    assert operator.post(page, written).status_code == 302
    assert ReplyRule.objects.get().rule == rule


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"words": " \r\n"}, "Write at least one word"),
        ({"how": "pattern", "words": "("}, "This pattern does not work"),
        ({"answers0-kind": ""}, "Choose what is answered"),
        ({"answers0-content": "字" * 700}, "at most 2048 bytes"),
        ({"answers0-content": " "}, "This is missing"),
        (
            {"answers0-kind": "news", "answers0-title": "T", "answers0-url": "x"},
            "An address begins",
        ),
        ({"on": "menu", "answers0-kind": "agent"}, "hands over messages alone"),
        ({"later0-kind": "text", "later0-content": "x", "later0-delay": "999999"}, "to 48 hours"),
        ({"hours_since": "08:00"}, "Give both hours"),
        ({"since": "2026-12-02T08:00", "until": "2026-12-01T08:00"}, "not after the beginning"),
        ({"tags": "VIP"}, "Tags are numbers"),
    ],
)
def test_mistakes_are_told_beside_the_field(operator, account, change, said):
    response = operator.post(ADD, form(account, **change))
    assert response.status_code == 200
    assert said in words_of(response)
    assert not ReplyRule.objects.exists()


def test_the_order_is_changed_and_what_never_wins_is_pointed_out(operator, account):
    for words, content in (("货", "goods"), ("退货", "returns")):
        operator.post(ADD, form(account, words=words, **{"answers0-content": content}))
    first, second = ReplyRule.objects.order_by("position").values_list("pk", flat=True)
    never = "It can never win: rule 1, “货”, takes all of it."
    assert never in words_of(operator.get(LIST))
    order = f"/admin/events/replyrule/order/{account.pk}/"
    operator.post(order, {"id": [first, second], "move": f"{second}:-1"})
    assert order_now() == [
        second,
        first,
    ]
    assert never not in words_of(operator.get(LIST))
    operator.post(order, {"id": [first, second, "x", 99]})
    assert order_now() == [
        first,
        second,
    ]


def test_unknown_keys_are_pointed_out(operator, account):
    fields = {"on": "menu", "other_keys": "GONE, GONE2"}
    operator.post(ADD, form(account, **fields))
    assert "Not in the menu that followers see: GONE, GONE2" in words_of(operator.get(LIST))


def test_an_earlier_version_comes_back_and_a_draft_can_be_discarded(operator, account):
    rule = make_rule(account, "text", "hi", "Hello")
    first = RuleVersion.objects.get()
    rule.name = "greeting"
    rule.save()
    publish(account.pk, user=None)
    ReplyRule.objects.all().delete()
    discard = f"/admin/events/replyrule/discard/{account.pk}/"
    assert "Gone: greeting" in words_of(operator.get(discard))
    operator.post(discard)
    assert ReplyRule.objects.get().rule.name == "greeting"
    back = reverse("admin:events_ruleversion_take_version_back", args=[first.pk])
    assert "Changed: greeting" in words_of(operator.get(back))
    operator.post(back)
    assert ReplyRule.objects.get().pk == rule.pk
    assert ReplyRule.objects.get().name == "hi"
    assert [version.is_live for version in RuleVersion.objects.order_by("pk")] == [
        False,
        False,
        True,
    ]
    page = reverse("admin:events_ruleversion_change", args=[RuleVersion.objects.latest("pk").pk])
    assert "Changed: greeting" in words_of(operator.get(page))


def test_nobody_publishes_what_he_has_not_seen(operator, account):
    make_rule(account, "text", "hi")
    operator.post(ADD, form(account))
    page = f"/admin/events/replyrule/publish/{account.pk}/"
    known = seen(operator.get(page))
    operator.post(ADD, form(account, words="other"))
    response = operator.post(page, {"seen": known}, follow=True)
    assert "Something has changed meanwhile" in words_of(response)
    assert RuleVersion.objects.count() == 1


def test_who_may_only_look_sees_a_rule_in_words(client, account):
    rule = make_rule(account, "text", "hi", "Hello")
    user = User.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_replyrule"))
    client.force_login(user)
    client.cookies["django_language"] = "en"
    shown = words_of(client.get(reverse("admin:events_replyrule_change", args=[rule.pk])))
    assert "Hello" in shown
    assert "Write a rule" not in words_of(client.get(LIST))
    assert client.get(f"/admin/events/replyrule/publish/{account.pk}/").status_code == 404


def test_hostile_texts_are_shown_as_they_are(operator, account):
    evil = "</script><script>alert(1)</script>"
    operator.post(ADD, form(account, name=evil, words=evil, **{"answers0-content": evil}))
    publish(account.pk, user=None)
    RuleHit.objects.create(
        event_id=1, event_time=timezone.now(), rule_id=ReplyRule.objects.get().pk
    )
    pk, version = ReplyRule.objects.get().pk, RuleVersion.objects.get().pk
    for url in (LIST, f"{LIST}{pk}/change/", f"/admin/events/ruleversion/{version}/change/"):
        assert "<script>alert" not in operator.get(url).content.decode()
