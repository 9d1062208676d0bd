"""What cannot work for an account is said before somebody tries, once, with what to do."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import User
from django.utils import timezone, translation
from django.utils.html import escape

from events.menus.publish import look_at_menus
from events.models import (
    AccountRights,
    ApiKey,
    LiveMenu,
    MenuVersion,
    OfficialAccount,
    ReplyRule,
)
from events.people.scopes import SCOPES
from events.platform.hindrances import hindrance
from events.platform.rights import RIGHTS, Right, ask_regularly, keep_rights, known_rights
from events.simulator.fake_api import Fault
from events.testing import make_account
from subscribers.models import FollowerEdit, OutgoingMessage, QRScene, Subscriber

NO_SECRET = "Without an AppSecret"
NO_RIGHT = "(48001)"


def take_secret(shop):
    OfficialAccount.objects.filter(pk=shop.pk).update(app_secret="")


def take_rights(shop):
    keep_rights(shop, [Right(path, False) for path in RIGHTS])


def take_tags(shop):
    keep_rights(shop, [Right("/cgi-bin/tags/get", False)])


@pytest.fixture
def rows(shop):
    """A row for each page, made while all was well."""
    now = timezone.now()
    return {
        "version": MenuVersion.objects.create(
            account=shop, menu={"button": [{"type": "click", "name": "Hi", "key": "K"}]},
            due_at=None,
        ),
        "scene": QRScene.objects.create(
            account=shop, scene="poster", name="Poster", due_at=None, failure="permission",
            failed_at=now,
        ),
        "follower": Subscriber.objects.create(
            account=shop, openid="oAnother5QmZb7LwR2nVc9Ys0DfH", last_followed_at=now,
            updated_at=now,
        ),
        "rule": ReplyRule.objects.create(
            account=shop, position=1, name="Opening hours", trigger={"on": "other"},
            answers=[{"kind": "text", "content": "9 to 5"}, {"kind": "text", "content": "Sundays"}],
        ),
    }  # fmt: skip


# Each page, and what on it is there for accounts that WeChat lets call.
PAGES = {
    "/admin/events/menuversion/?account=shop": "Ask WeChat",
    "/admin/events/menuversion/{version}/change/": "publish_version",
    "/admin/events/mediafile/": "",
    "/admin/events/replyrule/add/?account=shop": "",
    "/admin/events/replyrule/{rule}/change/": "",
    "/admin/subscribers/qrscene/": 'value="renew"',
    "/admin/subscribers/qrscene/add/": "",
    "/admin/subscribers/qrscene/several/": "",
    "/admin/subscribers/qrscene/{scene}/change/": "/fetch/",
    "/admin/subscribers/outgoingmessage/": "",
    "/admin/subscribers/followersync/": "",
    "/admin/subscribers/followeredit/": "",
    "/admin/subscribers/profilefetch/": "",
    "/admin/subscribers/wechatday/": "",
    "/admin/subscribers/subscriber/{follower}/profile/": "Write to WeChat",
    "/admin/subscribers/subscriber/tag/?ids={follower}": "Write to WeChat",
    # These hide the act, or say it where the message would be written.
    "/admin/subscribers/subscriber/": 'value="edit_tags"',
    "/admin/subscribers/subscriber/{follower}/change/": "edit-profile",
}


def test_for_an_able_account_nothing_is_said_and_all_is_offered(shop, rows, operator):
    keep_rights(shop, [Right(path, True) for path in RIGHTS])
    for page, act in PAGES.items():
        text = operator.get(page.format(**{k: row.pk for k, row in rows.items()})).content.decode()
        assert "hindrance" not in text, page
        assert act in text, page


@pytest.mark.parametrize(("take", "words"), [(take_secret, NO_SECRET), (take_rights, NO_RIGHT)])
def test_each_page_says_what_cannot_work_and_offers_no_such_act(take, words, shop, rows, operator):
    take(shop)
    for page, act in PAGES.items():
        text = operator.get(page.format(**{k: row.pk for k, row in rows.items()})).content.decode()
        is_hidden = page.startswith("/admin/subscribers/subscriber/") and "ids=" not in page
        is_hidden = is_hidden and "profile" not in page
        if not is_hidden:
            assert text.count('class="notice hindrance"') == 1, page
            assert words in text, page
        if act:
            assert act not in text, page


@pytest.mark.parametrize("take", [take_secret, take_rights])
def test_what_is_sent_all_the_same_makes_no_job(take, shop, rows, operator):
    take(shop)
    menu = f"/admin/events/menuversion/{rows['version'].pk}/publish_version/"
    page = operator.get(menu)
    seen = page.context["seen"] if page.context and "seen" in page.context else ""
    operator.post(menu, {"seen": seen})
    form = {"account": shop.pk, "name": "New", "scene": "new", "lifetime": ""}
    answer = operator.post("/admin/subscribers/qrscene/add/", form)
    assert "AppSecret" in answer.content.decode() or NO_RIGHT in answer.content.decode()
    follower = rows["follower"].pk
    for path, sent in (
        (f"{follower}/profile/", {"remark": "x", "new_tag": "vip"}),
        (f"tag/?ids={follower}", {"act": "tag", "new_tag": "vip"}),
    ):
        operator.post(f"/admin/subscribers/subscriber/{path}", sent)
    assert not MenuVersion.objects.filter(due_at__isnull=False).exists()
    assert not QRScene.objects.filter(scene="new").exists()
    assert not FollowerEdit.objects.exists()
    operator.post(f"/admin/subscribers/qrscene/{rows['scene'].pk}/fetch/", {"post": "yes"})
    assert not QRScene.objects.waiting().exists()
    # A code that exists already needs no call.
    operator.post("/admin/subscribers/qrscene/add/", form | {"adopt": "on"})
    assert QRScene.objects.filter(scene="new", due_at=None).exists()


@pytest.mark.parametrize(("act", "failure"), [("try_again", "busy"), ("renew", "")])
def test_of_several_codes_only_those_are_fetched_that_can_be(act, failure, shop, operator):
    other = make_account("other", name="Other", app_secret="0" * 32)
    codes = [
        QRScene.objects.create(
            account=account, scene="poster", name="Poster", due_at=None, failure=failure,
            is_permanent=False, expire_seconds=3600,
        )
        for account in (shop, other)
    ]  # fmt: skip
    take_rights(shop)
    chosen = {"action": act, "_selected_action": [code.pk for code in codes]}
    text = operator.post("/admin/subscribers/qrscene/", chosen, follow=True).content.decode()
    assert escape(sentence_of(shop, "/cgi-bin/qrcode/create", "en")) in text
    assert "1 code is being fetched" in text
    assert list(QRScene.objects.waiting()) == [codes[1]]


@pytest.mark.parametrize("take", [take_secret, take_rights])
def test_a_rule_says_what_of_it_is_not_sent(take, shop, rows, operator):
    pages = ("/admin/events/replyrule/", f"/admin/events/replyrule/publish/{shop.pk}/")
    for page in pages:
        assert "passive reply is not sent" not in operator.get(page).content.decode()
    take(shop)
    for language, unsent in (
        ("en", "What it says beside its passive reply is not sent. "),
        ("zh-hans", "除被动回复外，其余内容都不会发出。"),
    ):
        unsent += sentence_of(shop, "/cgi-bin/message/custom/send", language)
        operator.cookies["django_language"] = language
        for page in pages:
            text = operator.get(page).content.decode()
            assert text.count(escape(unsent)) == 1, page
    # One reply, or one of several, is all that WeChat asks for.
    operator.cookies["django_language"] = "en"
    for change in ({"choice": "one"}, {"answers": rows["rule"].answers[:1]}):
        ReplyRule.objects.filter(pk=rows["rule"].pk).update(**change)
        assert "is not sent" not in operator.get(pages[0]).content.decode()
    article = [{"kind": "article", "article_id": "a1"}]
    for change in ({"answers": article}, {"answers": [], "later": rows["rule"].answers}):
        ReplyRule.objects.filter(pk=rows["rule"].pk).update(**change)
        assert "is not sent" in operator.get(pages[0]).content.decode()


@pytest.mark.parametrize("take", [take_secret, take_tags])
def test_tags_for_who_comes_are_refused_where_nobody_can_put_them_on(take, shop, rows, operator):
    scene = rows["scene"]
    page = f"/admin/subscribers/qrscene/{scene.pk}/change/"
    form = {"name": "Poster", "follower_tags": "VIP, North"}
    assert "use tags" not in operator.get(page).content.decode()
    QRScene.objects.filter(pk=scene.pk).update(follower_tags="VIP")
    OfficialAccount.objects.filter(pk=shop.pk).update(name="Spruce <Books>")
    take(shop)
    for language, words in (("en", "use tags (用户标签)"), ("zh-hans", "标签")):
        operator.cookies["django_language"] = language
        sentence = sentence_of(shop, "/cgi-bin/tags/get", language)
        assert words in sentence
        assert operator.get(page).content.decode().count(escape(sentence)) == 1
        answer = operator.post(page, form)
        errors = answer.context["adminform"].form.errors
        assert errors["follower_tags"] == [sentence]
    # Tags that the code has already do not block other changes.
    assert operator.post(page, {"name": "Shop", "follower_tags": "VIP"}).status_code == 302
    assert operator.post(page, {"name": "Shop", "follower_tags": ""}).status_code == 302
    scene.refresh_from_db()
    assert (scene.name, scene.follower_tags) == ("Shop", "")


def sentence_of(shop, path, language):
    with translation.override(language):
        return str(hindrance(shop.pk, path))


@pytest.mark.parametrize(
    ("take", "code"), [(take_secret, "no_app_secret"), (take_rights, "permission")]
)
def test_the_api_refuses_what_the_pages_refuse(take, code, shop, rows, client):
    _, key = ApiKey.issue(user=User.objects.create_superuser("robot"), scopes=list(SCOPES))
    scenes, messages = "/cgi-bin/qrcode/create", "/cgi-bin/message/custom/send"
    new = {"account": "shop", "name": "New", "scene": "new"}
    text = {"account": "shop", "kind": "text", "payload": {"content": "Hello"}}

    def post(path, data, language="en"):
        return client.post(
            f"/api/v1/{path}", data, content_type="application/json",
            headers={"Authorization": f"Token {key}", "Accept-Language": language},
        )  # fmt: skip

    take(shop)
    for path, data, right in (
        ("scenes/", new, scenes),
        (f"scenes/{rows['scene'].pk}/renew/", {}, scenes),
        ("messages/", text | {"openid": rows["follower"].openid}, messages),
    ):
        for language in ("en", "zh-hans"):
            answer = post(path, data, language)
            assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
            problem, sentence = answer.json(), sentence_of(shop, right, language)
            assert (problem["code"], problem["detail"]) == ("invalid", f"account: {sentence}")
            assert problem["errors"] == {"account": [{"code": code, "detail": sentence}]}
    assert not QRScene.objects.waiting().exists()
    assert not OutgoingMessage.objects.exists()
    # A code that exists already needs no call.
    assert post("scenes/", new | {"adopt": True}).status_code == 201


def test_the_sentence_names_the_account_in_both_languages(shop):
    take_secret(shop)
    said = {}
    for language in ("en", "zh-hans"):
        with translation.override(language):
            said[language] = str(hindrance(shop.pk, "/cgi-bin/qrcode/create"))
    assert said["en"].startswith("Without an AppSecret Spruce Books cannot use QR codes")
    assert said["zh-hans"].startswith("Spruce Books")
    assert "AppSecret" in said["zh-hans"]
    take_rights(make_account("other", name="Other", app_secret="0" * 32))
    other = OfficialAccount.objects.get(slug="other")
    with translation.override("zh-hans"):
        assert "服务号" in str(hindrance(other.pk, "/cgi-bin/qrcode/create"))
        assert "认证" in str(hindrance(other.pk, "/cgi-bin/menu/create"))


@pytest.mark.django_db(transaction=True)
def test_the_worker_asks_once_a_day_and_after_a_change(shop, fake, at_wechat):
    assert ask_regularly() == 1
    assert ask_regularly() == 0
    row = AccountRights.objects.get()
    assert {right.path for right in known_rights(row) if right.is_granted} == set(RIGHTS)
    at_wechat.is_certified = False
    shop.save()
    assert ask_regularly() == 1
    assert hindrance(shop.pk, "/cgi-bin/user/get") is not None
    # What WeChat does not answer leaves what is known.
    fake.make_trouble("/cgi-bin/openapi/quota/get", Fault(status=500, times=None))
    AccountRights.objects.update(asked_at=timezone.now() - datetime.timedelta(days=2))
    assert ask_regularly() == 1
    assert ask_regularly() == 0
    assert hindrance(shop.pk, "/cgi-bin/user/get") is not None


@pytest.mark.django_db(transaction=True)
def test_a_refusal_by_48001_is_known_at_once(shop, fake):
    LiveMenu.objects.create(account=shop)
    fake.make_trouble("/cgi-bin/menu/get", Fault(errcode=48001))
    look_at_menus()
    assert hindrance(shop.pk, "/cgi-bin/menu/create") is not None
    assert hindrance(shop.pk, "/cgi-bin/qrcode/create") is None


@pytest.mark.django_db(transaction=True)
def test_the_page_says_which_call_a_rid_is_of(shop, fake, at_wechat, operator):
    page = f"/admin/events/officialaccount/{shop.pk}/doctor/"
    fake.make_trouble("/cgi-bin/menu/get", Fault(errcode=48001))
    LiveMenu.objects.create(account=shop)
    look_at_menus()
    text = LiveMenu.objects.get().failure_text
    assert "rid" in text
    said = operator.post(page, {"rid": text})
    said = said.content.decode()
    assert "48001 api unauthorized" in said
    assert "127.0.0.1" in said
    assert "接口未授权" in said
    for wrong, words in (
        ("nonsense", "This is no rid."),
        ("00000000-00000000-00000000", "WeChat knows no such rid."),
    ):
        assert words in operator.post(page, {"rid": wrong}).content.decode()
    for rid in at_wechat.calls_by_rid.values():
        rid["invoke_time"] -= 8 * 24 * 3600
    rid = next(iter(at_wechat.calls_by_rid))
    assert "older than seven days" in operator.post(page, {"rid": rid}).content.decode()
