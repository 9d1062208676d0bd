"""The operators' pages for reply rules."""

from __future__ import annotations

import datetime
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.answering.publish_rules import publish
from events.binding_scenes import new_binding_scene
from events.models import AuditEntry, LiveMenu, MenuVersion, ReplyRule, RuleHit, RuleVersion
from events.rules.data import AnswerKind, Hours, How, On
from events.stats.update import update_statistics
from events.testing import make_account, make_rule, message_xml, push, reply_in
from subscribers.models import Binding, FollowerTag, QRScene, Subscriber

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


def test_a_rule_with_a_mistake_comes_back_with_its_account(operator, account):
    back = operator.post(ADD, form(account, words=""))
    assert back.status_code == 200
    assert back.context["account"] == account
    assert "← Spruce Books" in words_of(back)


def test_all_that_was_written_is_shown_again(operator, account):
    for number, name in ((2, "星标组"), (101, "VIP")):
        FollowerTag.objects.create(account=account, number=number, name=name)
    written = form(
        account, weekdays=["0", "4"], hours_since="18:00", hours_until="09:00", is_outside="on",
        since="2026-12-01T08:00", until="2026-12-31T20:00", tags=["2", "101"], bound="yes",
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
    for value in ("2026-12-01T08:00", "18:00", "VIP", "还在吗？", "https://x.example/"):
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
    listed = words_of(operator.get(LIST))
    assert "with a tag of 星标组, VIP" in listed
    assert "no such tag" not in listed
    FollowerTag.objects.filter(number=101).delete()
    assert "The account has no such tag, or its tags were not read yet: #101" in words_of(
        operator.get(LIST)
    )
    assert "#101 (unknown)" in words_of(operator.get(page))
    assert operator.post(page, written).status_code == 302


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
        ({"tags": ["102"]}, "Select a valid choice"),
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
    nonsense = {"id": [first, second, "x", 99, "9" * 5000], "move": f"{'9' * 5000}:-1"}
    assert operator.post(order, nonsense).status_code == 302
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
    listed = client.get(LIST)
    assert f"version {RuleVersion.objects.get()}" in words_of(listed)
    assert "Write a rule" not in words_of(listed)
    assert "/ruleversion/" not in listed.content.decode()
    assert client.get(f"/admin/events/replyrule/publish/{account.pk}/").status_code == 404


def test_rules_are_said_with_chinese_punctuation(operator, account):
    both = {"words": "hours\nopen", "weekdays": ["0", "1"], "name": "Hours", "message_kind": "any"}
    operator.post(ADD, form(account, **both))
    operator.cookies["django_language"] = "zh-hans"
    shown = words_of(operator.get(LIST))
    assert "半匹配（包含任一关键词）：hours、open；星期一、星期二" in shown
    told = words_of(operator.get(f"/admin/events/replyrule/publish/{account.pk}/"))
    assert "新增：Hours：半匹配（包含任一关键词）：hours、open；星期一、星期二；→" in told
    assert "关注公众号" in words_of(operator.get(f"{LIST}test/?account={account.slug}"))


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


# --- Trying rules out ----------------------------------------------------------------------------


def box(operator, **given):
    return words_of(operator.get(f"{LIST}test/", {"account": "shop", **given}))


def test_the_test_box_says_who_wins_and_why_the_others_lose(operator, account):
    operator.post(ADD, form(account, name="off", is_active=""))
    operator.post(ADD, form(account, name="evening", hours_since="18:00", hours_until="08:00"))
    operator.post(ADD, form(account, name="bound", bound="yes"))
    operator.post(ADD, form(account, name="returns", **{"answers0-content": "{remark|friend}！"}))
    operator.post(ADD, form(account, name="twice"))
    operator.post(ADD, form(account, name="menu", on="menu"))
    shown = box(operator, act="text", say="我要退货。", at="2026-11-28T12:00", remark="Li")
    for said in (
        "The rule that answers: returns",
        "off is switched off",
        "evening not at this hour",
        "bound bound or not bound does not fit",
        "twice fits too, but stands later",
        "我要退货。",
        "Li！",
    ):
        assert said in shown
    assert "menu waits" not in shown
    night = box(operator, act="text", say="退货", at="2026-11-28T23:00")
    assert "The rule that answers: evening" in night
    assert "No rule answers." in box(operator, act="text", say="hello")
    assert "The rule that answers: menu" in box(operator, act="event.click", key="K")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"kind": "image", "media_id": "m"}, "[图片]"),
        ({"kind": "video", "media_id": "m", "title": "片"}, "[视频]"),
        (
            {"kind": "miniprogram", "title": "店", "app_id": "wx", "page": "p",
             "thumb_media_id": "m"},
            "[小程序卡片]",
        ),
        ({"kind": "article", "article_id": "a"}, "[已发布文章]"),
        ({"kind": "agent"}, "[转人工客服]"),
        ({"kind": "text", "content": "好"}, "wait 好"),
    ],
)  # fmt: skip
def test_the_test_box_names_kinds_of_answers_in_the_users_language(
    operator, account, answer, words
):
    rule = make_rule(account, "text", "wait")
    rule.answers = [answer, answer]
    rule.save()
    operator.cookies["django_language"] = "zh-hans"
    assert words in box(operator, act="text", say="wait")


def test_the_replay_shows_what_would_change(operator, account):
    make_rule(account, "text", "退货", "old")
    for number, text in enumerate(["退货", "退货", "换货", "hello"], start=1):
        push(account, message_xml("text", Content=text, MsgId=number))
    operator.post(ADD, form(account, name="both"))
    shown = words_of(operator.get(f"{LIST}replay/"))
    assert "4 acts of followers were decided anew. 1 would be answered otherwise." in shown
    assert "text message 换货 1 – both otherwise" in shown
    assert "text message 退货 2 退货 退货" in shown
    live = words_of(operator.get(f"{LIST}replay/", {"of": "live"}))
    assert "0 would be answered otherwise." in live


def test_a_replay_costs_the_same_however_many_followers_it_asks_about(operator, account):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            shown = words_of(operator.get(f"{LIST}replay/"))
        return shown, len(queries.captured_queries)

    def comes(number):
        scene = f"door-{number}"
        QRScene.objects.create(account=account, scene=scene, name=scene, due_at=None)
        event = message_xml("event.subscribe", openid=f"o{number}", EventKey=f"qrscene_{scene}")
        push(account, event)
        follower = Subscriber.objects.get(openid=f"o{number}")
        if number % 2:
            Binding.objects.create(
                account=account, subscriber=follower, bound_at=timezone.now(), event_id=1,
                event_time=timezone.now(), user=User.objects.create_user(f"u{number}"),
            )  # fmt: skip

    bound = {"on": "follow", "follow": "first", "bound": "yes", "name": "members"}
    assert operator.post(ADD, form(account, **bound)).status_code == 302
    comes(1)
    statements()
    _shown, few = statements()
    for number in range(2, 8):
        comes(number)
    shown, many = statements()
    assert "door-7 1 – members otherwise" in shown
    assert "door-6 1 – –" in shown
    assert many == few


def test_the_history_of_a_rule_says_its_parts_in_words(operator, account):
    operator.post(ADD, form(account, name="both", words="退货\n换货"))
    rule = ReplyRule.objects.get()
    shown = words_of(operator.get(reverse("admin:events_replyrule_history", args=[rule.pk])))
    part = shown[shown.index("Trigger") : shown.index("Active")]
    assert "contains one of the words (半匹配): 退货, 换货" in part
    assert "{" not in part


def test_the_replay_shows_no_scan_that_binds(operator, account):
    make_rule(account, "event.subscribe", content="welcome")
    scene = new_binding_scene()
    push(account, message_xml("event.subscribe", EventKey=f"qrscene_{scene}"))
    shown = words_of(operator.get(f"{LIST}replay/"))
    assert "0 acts of followers were decided anew." in shown
    assert scene not in shown


def test_test_box_replay_and_live_answer_agree(operator, account):
    operator.post(ADD, form(account, name="first", words="A"))
    operator.post(ADD, form(account, name="second", how="begins", words="B", hours_since="00:00",
                            hours_until="12:00"))  # fmt: skip
    operator.post(ADD, form(account, name="rest", on="other"))
    publish(account.pk, user=None)
    names = dict(ReplyRule.objects.values_list("pk", "name"))
    for number, text in enumerate(["a!", "b", "ｂ？", "ab", "c", ""], start=1):
        push(account, message_xml("text", Content=text, MsgId=number))
        hit = RuleHit.objects.filter(event_id=account.events.latest("pk").pk).first()
        winner = names[hit.rule_id] if hit else "none"
        assert f"The rule that answers: {winner}" in box(operator, act="text", say=text)
    shown = words_of(operator.get(f"{LIST}replay/"))
    assert "6 acts of followers were decided anew. 0 would be answered otherwise." in shown


def test_an_unmatched_text_becomes_a_rule_with_one_click(operator, account):
    push(account, message_xml("text", Content="你们几点关门", MsgId=1))
    update_statistics()
    page = operator.get(LIST)
    assert "你们几点关门 1 Write a rule" in words_of(page)
    link = re.search(r'href="([^"]+text=[^"]+)"', page.content.decode())[1]
    written = operator.get(link.replace("&amp;", "&")).content.decode()
    assert "你们几点关门</textarea>" in written


def test_a_menu_key_without_an_answer_is_noticed(operator, account):
    menu = {"button": [
        {"type": "click", "name": "订单", "key": "ORDERS"},
        {"type": "click", "name": "优惠", "key": "COUPONS"},
    ]}  # fmt: skip
    version = MenuVersion.objects.create(
        account=account, menu=menu, published_at=timezone.now(), due_at=None
    )
    LiveMenu.objects.create(account=account, version=version, due_at=None)
    make_rule(account, "event.click", "ORDERS", "two orders")
    assert "Menu entries that nothing answers 优惠 Write a rule" in words_of(operator.get(LIST))
    for page in ("/admin/events/menuversion/", f"/admin/events/menuversion/{version.pk}/change/"):
        shown = words_of(operator.get(page))
        assert "订单 ORDERS → two orders" in shown
        assert "优惠 no rule answers Write a rule" in shown
    written = operator.get(f"{ADD}?account=shop&key=COUPONS").content.decode()
    assert re.search(r'value="COUPONS"[^>]*checked', written)


def test_an_event_says_which_rule_answered(operator, account):
    make_rule(account, "text", "hi", "Hello")
    push(account, message_xml("text", Content="hi", MsgId=1))
    page = reverse("admin:events_eventlog_change", args=[account.events.get().pk])
    assert "Reply rule hi" in words_of(operator.get(page))
    ReplyRule.objects.all().delete()
    assert "Reply rule #" in words_of(operator.get(page))
