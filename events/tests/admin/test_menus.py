from __future__ import annotations

import datetime
import html
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from events.admin.menus.menu_forms import MenuVersionForm
from events.menus import names as menu_names
from events.menus.publish import ask_wechat, look_at_menus, publish_menus
from events.models import AuditEntry, LiveMenu, MenuVersion
from events.simulator.fake_api import Fault
from events.testing import make_account, make_rule, message_xml, push
from events.tests.menus.test_publish import (
    CREATE,
    MADE_IN_CONSOLE,
    MENU,
    ORDERS,
    OTHER,
    draft,
    live,
    now_of,
    published,
)
from events.wechat.api.menu_model import BUTTON_TYPES, Button, Menu

# What publishing asks of a database is tested beside it.
pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

LIST = "/admin/events/menuversion/"
ADD = f"{LIST}add/"
LIVE = "/admin/events/livemenu/"
State = MenuVersion.State


@pytest.fixture
def li(db):
    return User.objects.create_user("li.wei")


def page(version, action="change"):
    return f"{LIST}{version.pk}/{action}/"


def fields_of(menu: Menu) -> dict[str, str]:
    """What a browser sends for a menu: the fields of every entry, most of them empty."""
    sent = {}
    for top in range(3):
        for place in [(top,), *((top, sub) for sub in range(5))]:
            button = Button("")
            if top < len(menu.buttons):
                button = menu.buttons[top]
                if len(place) == 2:
                    subs = button.sub_buttons
                    button = subs[place[1]] if place[1] < len(subs) else Button("")
            for name in (
                "name",
                "type",
                "key",
                "url",
                "appid",
                "pagepath",
                "media_id",
                "article_id",
            ):
                sent[f"button{'-'.join(map(str, place))}-{name}"] = getattr(button, name)
    return sent


def write(client, account, menu, **fields):
    sent = {"account": account.pk, "note": "", **fields_of(menu), **fields}
    return client.post(f"{ADD}?account={account.slug}", sent)


def edit(client, version, menu, note="", seen=0):
    sent = {"note": note, "seen_revision": seen, **fields_of(menu)}
    return client.post(page(version), sent)


def press(client, version, action="publish_version"):
    """Looks at what publishing changes, and presses the button."""
    asked = client.get(page(version, action))
    return client.post(page(version, action), {"seen": asked.context["seen"]})


def said_plainly(response):
    return html.unescape(said(response))


def said(response):
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def operator_with(*permissions: str) -> Client:
    user = User.objects.create_user(f"u{User.objects.count()}", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    client.cookies["django_language"] = "en"
    return client


# --- Writing -----------------------------------------------------------------------------------


def test_a_menu_is_written_and_stored_as_wechat_takes_it(operator, shop):
    response = write(operator, shop, MENU, note="autumn")
    version = MenuVersion.objects.get()
    assert response.url == page(version)
    assert (version.content, version.note, version.state) == (MENU, "autumn", State.DRAFT)
    assert version.created_by is not None
    form = operator.get(page(version)).content.decode()
    for text in ("我的订单", "MENU_MY_ORDERS", "https://www.example.com/shop?a=1&amp;b=2"):
        assert text in form


def test_every_type_keeps_its_own_fields_and_no_others(operator, shop):
    values = {
        "key": "K", "url": "https://www.example.com/", "appid": "wx0000000000000000",
        "pagepath": "pages/index", "media_id": "M", "article_id": "A",
    }  # fmt: skip
    kinds = list(BUTTON_TYPES)
    tops = tuple(
        Button(
            f"t{at}", sub_buttons=tuple(Button(kind, kind, **values) for kind in kinds[at : at + 5])
        )
        for at in (0, 5, 10)
    )
    assert write(operator, shop, Menu(tops)).status_code == 302
    written = MenuVersion.objects.get().content
    assert [sub.type for top in written.buttons for sub in top.sub_buttons] == kinds
    for top in written.buttons:
        for sub in top.sub_buttons:
            kept = {name for name in values if getattr(sub, name)}
            assert kept == set(BUTTON_TYPES[sub.type])


def test_the_style_sheet_shows_the_fields_that_a_type_has():
    sheet = Path(settings.BASE_DIR, "events/static/events/menu.css").read_text()
    shown = {}
    rule = re.compile(r"has\(option:is\(([^)]*)\):checked\) > \.menu-field-(\w+)[,\s]")
    for types, field in rule.findall(sheet):
        for kind in re.findall(r'"(\w+)"', types):
            shown.setdefault(kind, set()).add(field)
    assert shown == {kind: set(fields) for kind, fields in BUTTON_TYPES.items()}


@pytest.mark.parametrize(
    ("menu", "text"),
    [
        (Menu(()), "A menu has at least one entry."),
        (Menu((Button("", "click", key="K"),)), "This is missing."),
        (Menu((Button("x"),)), "Choose what the entry does"),
        (Menu((Button("x", "click"),)), "This is missing."),
        (Menu((Button("六个汉字名称", "click", key="K"),)), "at most 16 bytes; this has 18"),
        (
            Menu((Button("x", sub_buttons=(Button("字" * 21, "click", key="K"),)),)),
            "at most 60 bytes; this has 63",
        ),
        (Menu((Button("😀😀😀😀x", "click", key="K"),)), "at most 16 bytes; this has 17"),
        (
            Menu((Button("x", sub_buttons=(Button("😀" * 15 + "x", "click", key="K"),)),)),
            "at most 60 bytes; this has 61",
        ),
        (Menu((Button("x", "click", key="k" * 129),)), "at most 128 bytes; this has 129"),
        (Menu((Button("x", "scancode_push", key="键" * 43),)), "at most 128 bytes; this has 129"),
        (
            Menu((Button("x", "view", url="https://www.example.com/" + "字" * 334),)),
            "at most 1024 bytes; this has 1026",
        ),
        (Menu((Button("x\0", "click", key="K"),)), "Null characters are not allowed."),
        (
            Menu((Button("x", "view", url="javascript:alert(1)"),)),
            "An address begins with https://",
        ),
        (
            Menu((Button("x", "view", url="https://" + "x" * 1017),)),
            "at most 1024 bytes; this has 1025",
        ),
        (Menu((Button("x", "view", url="ftp://x"),)), "An address begins with https://"),
        (Menu((Button("x", "text"),)), "Only WeChat's console"),
        (Menu((Button("x", "dance"),)), "WeChat does not know this kind of entry."),
        (
            Menu((Button("x", "click", key="K", sub_buttons=(ORDERS,)),)),
            "An entry with sub-entries does nothing itself.",
        ),
    ],
)
def test_what_wechat_would_refuse_is_said_beside_the_field(shop, menu, text):
    form = MenuVersionForm({"account": shop.pk, "note": "", **fields_of(menu)})
    with translation.override("en"):
        assert not form.is_valid()
        entries = [entry for top in form.tops for entry in (top, *top.subs)]
        told = [str(error) for part in (form, *entries) for error in part.errors.values()]
    assert any(text in html.unescape(error) for error in told), told


def test_a_menu_that_wechat_would_refuse_is_shown_again_as_it_was_written(operator, shop):
    menu = Menu((Button("x", "click", key="k" * 129),))
    response = write(operator, shop, menu, note="kept")
    assert response.status_code == 200
    assert "at most 128 bytes; this has 129" in said(response)
    assert "k" * 129 in response.content.decode()
    assert "kept" in response.content.decode()
    assert not MenuVersion.objects.exists()


def test_what_is_just_inside_the_limits_is_taken(operator, shop):
    menu = Menu(
        (
            Button("😀😀😀😀", "click", key="键" * 42 + "kk"),
            Button("五个汉字x", "view", url="https://www.example.com/" + "字" * 333 + "x"),
            Button("x", sub_buttons=(Button("😀" * 15, "click", key="K"),) * 5),
        )
    )
    assert write(operator, shop, menu).status_code == 302
    assert MenuVersion.objects.get().content == menu


def test_hostile_texts_are_shown_as_they_are(operator, shop, li, at_wechat):
    name, key = "<b>&\"'", "</script><script>alert(1)</script>"
    menu = Menu((Button(name, "click", key=key), Button("x", sub_buttons=(ORDERS,))))
    write(operator, shop, menu, note=key)
    version = MenuVersion.objects.get()
    pages = [page(version), page(version, "publish_version")]
    published_one = published(shop, li, menu)
    pages += [LIST, page(published_one), page(published_one, "history"), f"{LIST}?state=draft"]
    click(shop, key)
    make_rule(shop, "event.click", key=key, content="x")
    pages += [LOG, event_page(shop.events.get()), "/admin/events/replyrule/"]
    for url in pages:
        shown = operator.get(url).content.decode()
        assert "<b>" not in shown, url
        assert "<script>alert" not in shown, url
    assert name in said_plainly(operator.get(LOG))


def test_problems_stand_at_their_entry_even_after_gaps(operator, shop):
    empty = Button("")
    bad = Button("", "click", key="K")
    menu = Menu((empty, Button("x", sub_buttons=(empty, ORDERS, empty, bad)), empty))
    form = write(operator, shop, menu).context["adminform"].form
    with_errors = [entry.place for top in form.tops for entry in (top, *top.subs) if entry.errors]
    assert with_errors == [(1, 3)]


def test_an_entry_may_have_several_problems_at_once(operator, shop):
    """Somebody adds a sub-entry, writes a long name and saves before choosing what it does."""
    menu = Menu((Button("x", sub_buttons=(ORDERS, Button("n" * 61))), ORDERS))
    response = write(operator, shop, menu)
    form = response.context["adminform"].form
    with_errors = {
        entry.place: sorted(entry.errors)
        for top in form.tops
        for entry in (top, *top.subs)
        if entry.errors
    }
    assert with_errors == {(0, 1): ["name", "type"]}
    assert "n" * 61 in response.content.decode()
    assert not MenuVersion.objects.exists()


def test_empty_places_are_left_out(operator, shop):
    menu = Menu((Button(""), Button("x", sub_buttons=(Button(""), ORDERS)), ORDERS))
    write(operator, shop, menu)
    assert MenuVersion.objects.get().content == Menu((Button("x", sub_buttons=(ORDERS,)), ORDERS))


def test_the_form_begins_with_what_followers_see_or_with_a_version(operator, shop, li, at_wechat):
    first = published(shop, li)
    published(shop, li, OTHER)
    assert operator.get(ADD).context["editor"].written == OTHER
    form = operator.get(f"{ADD}?from={first.pk}")
    assert form.context["editor"].written == MENU
    write_from = {"account": shop.pk, "note": "", **fields_of(MENU)}
    operator.post(f"{ADD}?from={first.pk}", write_from)
    assert MenuVersion.objects.latest("pk").based_on == first
    for nonsense in ("x", "0", "9" * 40):
        assert operator.get(f"{ADD}?from={nonsense}").status_code == 200


def test_a_draft_is_edited_and_its_history_says_so(operator, shop):
    version = draft(shop, failure="request", failure_text="40055")
    edit(operator, version, OTHER)
    assert (now_of(version).content, now_of(version).state) == (OTHER, State.DRAFT)
    assert "menu" in operator.get(page(version, "history")).content.decode()


def test_a_published_version_never_changes(operator, shop, li, at_wechat):
    version = published(shop, li)
    shown = operator.get(page(version))
    assert shown.context["editor"] is None
    assert 'name="button0-name"' not in shown.content.decode()
    assert operator.get(page(version, "delete")).status_code == 403
    # Somebody had the form open when it was published: what was written becomes a draft.
    response = edit(operator, version, OTHER, note="mine")
    kept = MenuVersion.objects.latest("pk")
    assert response.url == page(kept)
    assert (kept.content, kept.note, kept.state, kept.based_on) == (
        OTHER, "mine", State.DRAFT, version
    )  # fmt: skip
    assert now_of(version).content == MENU


def test_of_two_who_edit_one_draft_neither_loses_anything(operator, shop):
    version = draft(shop)
    form = operator.get(page(version)).content.decode()
    assert '<input type="hidden" name="seen_revision" value="0"' in form
    edit(operator, version, OTHER, note="first")
    response = operator.post(
        page(version), {"note": "second", "seen_revision": 0, **fields_of(MENU)}, follow=True
    )
    assert "Somebody has changed version" in said(response)
    kept = MenuVersion.objects.latest("pk")
    assert (kept.content, kept.note, kept.based_on, kept.state) == (
        MENU, "second", version, State.DRAFT
    )  # fmt: skip
    assert (now_of(version).content, now_of(version).note) == (OTHER, "first")
    # A user who has seen the change may change it again.
    edit(operator, version, MENU, seen=1)
    assert now_of(version).content == MENU
    for nonsense in ("", "x", "-1", "9" * 30):
        assert edit(operator, version, OTHER, seen=nonsense).status_code in {200, 302}
    assert now_of(version).content == MENU


def test_a_form_that_is_shown_again_is_not_taken_for_a_newer_one(operator, shop):
    version = draft(shop)
    bad = Menu((Button("六个汉字名称", "click", key="K"),))
    edit(operator, version, OTHER)
    shown = edit(operator, version, bad, seen=0)
    assert 'name="seen_revision" value="0"' in shown.content.decode()


def test_what_was_published_meanwhile_is_not_deleted(operator, shop, monkeypatch):
    version = draft(shop)
    model_admin = site.get_model_admin(MenuVersion)
    delete = model_admin.delete_model

    def published_meanwhile(request, obj):
        MenuVersion.objects.update(published_at=timezone.now())
        delete(request, obj)

    monkeypatch.setattr(model_admin, "delete_model", published_meanwhile)
    assert operator.post(page(version, "delete"), {"post": "yes"}).status_code == 403
    assert MenuVersion.objects.filter(pk=version.pk).exists()
    assert not LogEntry.objects.exists()
    assert not AuditEntry.objects.filter(act="delete").exists()


def test_drafts_can_be_deleted(operator, shop):
    version = draft(shop)
    assert operator.post(page(version, "delete"), {"post": "yes"}).status_code == 302
    assert not MenuVersion.objects.exists()


# --- Publishing --------------------------------------------------------------------------------


def test_publishing_says_what_changes_and_is_done_by_the_worker(
    operator, shop, li, at_wechat, fake
):
    published(shop, li, OTHER)
    look_at_menus()
    version = draft(shop)
    asked = operator.get(page(version, "publish_version"))
    for text in ("New: 服务 › 商城", "within 24 hours", "Now", "Afterwards"):
        assert text in said(asked)
    assert now_of(version).state == State.DRAFT
    press(operator, version)
    waiting = operator.get(page(version))
    assert "waiting to be published" in said(waiting)
    assert waiting.headers["Refresh"] == "2"
    assert publish_menus() == 1
    assert "what followers see" in said(operator.get(page(version)))
    assert now_of(version).published_by.username == "operator"
    look_at_menus()
    assert "Refresh" not in operator.get(page(version)).headers


def test_a_failure_is_shown_with_wechats_words_and_can_be_tried_again(
    operator, shop, at_wechat, fake
):
    version = draft(shop)
    press(operator, version)
    fake.make_trouble(CREATE, Fault(errcode=40055))
    publish_menus()
    shown = said(operator.get(page(version)))
    for text in ("WeChat does not take this menu", "40055", "invalid button url domain", "rid"):
        assert text in shown
    press(operator, version)
    publish_menus()
    assert now_of(version).state == State.PUBLISHED


def test_nobody_publishes_what_he_has_not_seen(operator, shop, li, at_wechat):
    version, other = draft(shop), draft(shop, OTHER)
    asked = page(version, "publish_version")
    seen = operator.get(asked).context["seen"]
    for happened in (
        lambda: edit(operator, version, OTHER),
        lambda: press(operator, other),
        lambda: publish_menus(),
    ):
        happened()
        again = operator.post(asked, {"seen": seen})
        assert "Something has changed meanwhile." in said(again)
        assert now_of(version).state == State.DRAFT
        seen = again.context["seen"]
    for nonsense in ({}, {"seen": ""}, {"seen": "x" * 1000}):
        assert operator.post(asked, nonsense).status_code == 200
    operator.post(asked, {"seen": seen})
    assert now_of(version).state == State.WAITING


def test_who_comes_second_is_told_so(operator, shop, at_wechat):
    version = draft(shop)
    asked = page(version, "publish_version")
    seen = operator.get(asked).context["seen"]
    operator.post(asked, {"seen": seen})
    for _ in range(2):
        for response in (
            operator.post(asked, {"seen": seen}, follow=True),
            operator.get(asked, follow=True),
        ):
            assert response.redirect_chain == [(page(version), 302)]
            assert "is published already, or waits to be published." in said(response)
        publish_menus()
    late = operator.post(page(version, "withdraw_version"), follow=True)
    assert "does not wait any more." in said(late)


def test_a_version_that_waits_gives_way_to_another_only_when_that_was_said(operator, shop):
    waiting, version = draft(shop, OTHER), draft(shop)
    press(operator, waiting)
    asked = operator.get(page(version, "publish_version"))
    assert f"Version {waiting} is waiting to be published, and becomes a draft" in said(asked)
    press(operator, version)
    assert (now_of(waiting).state, now_of(version).state) == (State.DRAFT, State.WAITING)


def test_publishing_beside_one_that_is_on_its_way_is_refused_with_a_sentence(operator, shop):
    first, second = draft(shop, OTHER), draft(shop)
    press(operator, first)
    [_] = MenuVersion.objects.claim(timezone.now(), limit=1, lease=datetime.timedelta(seconds=60))
    asked = operator.get(page(second, "publish_version"))
    response = operator.post(
        page(second, "publish_version"), {"seen": asked.context["seen"]}, follow=True
    )
    assert f"Version {first} is on its way to WeChat." in said(response)
    assert now_of(second).state == State.DRAFT
    response = operator.post(page(first, "withdraw_version"), follow=True)
    assert "on its way to WeChat." in said(response)


def test_an_account_without_an_app_secret_is_told_what_is_missing(operator, db, fake):
    account = make_account()
    version = draft(account)
    press(operator, version)
    assert not MenuVersion.objects.in_state(MenuVersion.State.WAITING).exists()
    assert "Without an AppSecret" in said(operator.get(page(version)))
    operator.post(f"{LIST}ask/{account.pk}/")
    look_at_menus()
    shown = said(operator.get(LIST))
    for text in ("WeChat could not be asked.", "has no AppID or no AppSecret"):
        assert text in shown


def test_a_platform_that_is_down_is_tried_again_and_shown(operator, shop, settings):
    settings.WECHAT_API_BASE = "http://127.0.0.1:9"
    version = draft(shop)
    press(operator, version)
    publish_menus()
    shown = said(operator.get(page(version)))
    for text in ("could not be reached", "It is tried again at", "waiting to be published"):
        assert text in shown


def test_a_waiting_version_is_withdrawn(operator, shop):
    version = draft(shop, due_at=timezone.now())
    assert operator.get(page(version, "withdraw_version")).status_code == 200
    operator.post(page(version, "withdraw_version"))
    assert now_of(version).state == State.DRAFT


def test_an_earlier_version_is_taken_back(operator, shop, li, at_wechat):
    first = published(shop, li)
    second = published(shop, li, OTHER)
    assert "Gone: 我的订单" not in said(operator.get(page(first, "take_version_back")))
    assert page(second, "take_version_back") not in operator.get(page(second)).content.decode()
    assert page(first, "take_version_back") in operator.get(page(first)).content.decode()
    response = press(operator, first, "take_version_back")
    again = MenuVersion.objects.latest("pk")
    assert (response.url, again.based_on) == (page(again), first)
    publish_menus()
    assert live(shop).version == again
    assert f"Version {first} again" in said(operator.get(page(again)))


def test_what_the_console_made_can_be_seen_but_not_published(operator, shop, at_wechat):
    at_wechat.console_menu = MADE_IN_CONSOLE
    ask_wechat(shop)
    look_at_menus()
    LiveMenu.objects.update(version=None)
    version = MenuVersion.objects.get()
    shown = said(operator.get(page(version))).replace("&#x27;", "'")
    assert "article, made in WeChat's console" in shown
    assert "Only WeChat's console can make this kind of entry." in shown
    press(operator, version, "take_version_back")
    assert MenuVersion.objects.count() == 1
    # As a draft, the kind is shown until another is chosen.
    form = operator.get(f"{ADD}?from={version.pk}").content.decode()
    assert '<option value="news" selected>' in form


def test_who_may_write_may_not_publish(shop, li, at_wechat):
    writer = operator_with("view_menuversion", "add_menuversion", "change_menuversion")
    assert write(writer, shop, MENU).status_code == 302
    version = MenuVersion.objects.get()
    assert "Publish" not in said(writer.get(page(version)))
    assert writer.get(page(version, "publish_version")).status_code == 403
    assert writer.post(page(version, "publish_version")).status_code == 403
    publisher = operator_with("view_menuversion", "publish_menu")
    assert publisher.get(page(version)).context["editor"] is None
    assert write(publisher, shop, MENU).status_code == 403
    assert press(publisher, version).status_code == 302
    assert now_of(version).state == State.WAITING
    assert writer.post(page(version, "withdraw_version")).status_code == 403
    viewer = operator_with("view_menuversion")
    assert viewer.post(f"{LIST}ask/{shop.pk}/").status_code == 404
    assert viewer.get(LIST).status_code == 200


# --- What followers see ------------------------------------------------------------------------


def test_the_list_shows_what_followers_see(operator, shop, at_wechat):
    assert "WeChat has not been asked yet." in said(operator.get(LIST))
    at_wechat.console_menu = MADE_IN_CONSOLE
    assert operator.get(f"{LIST}ask/{shop.pk}/").status_code == 405
    operator.post(f"{LIST}ask/{shop.pk}/")
    assert operator.get(LIST).headers["Refresh"] == "2"
    look_at_menus()
    shown = operator.get(LIST)
    assert "今日文章" in said(shown)
    assert "as WeChat has it" in said(shown)
    assert "Refresh" not in shown.headers


def test_a_change_made_elsewhere_is_told(operator, shop, li, at_wechat):
    published(shop, li)
    look_at_menus()
    assert "not published here" not in said(operator.get(LIST))
    at_wechat.console_menu = MADE_IN_CONSOLE
    ask_wechat(shop)
    look_at_menus()
    shown = said(operator.get(LIST))
    assert "WeChat shows a menu that was not published here." in shown
    assert "Gone: 服务 › 商城" in shown
    at_wechat.console_menu = at_wechat.menu = None
    ask_wechat(shop)
    look_at_menus()
    assert "it was deleted or switched off elsewhere" in said(operator.get(LIST))


def test_that_wechat_could_not_be_asked_is_told(operator, shop, at_wechat, fake):
    fake.make_trouble("/cgi-bin/get_current_selfmenu_info", Fault(errcode=48001))
    ask_wechat(shop)
    look_at_menus()
    shown = said(operator.get(LIST))
    for text in ("WeChat could not be asked.", "接口未授权", "48001"):
        assert text in shown


def test_menus_for_some_followers_are_told(operator, shop, li, at_wechat):
    published(shop, li)
    at_wechat.conditional_menus = [{"button": [], "matchrule": {}}] * 2
    look_at_menus()
    told = "WeChat has 2 more menus, which some followers see instead"
    assert told in said(operator.get(LIST))
    assert told in said(operator.get(page(draft(shop), "publish_version")))


def test_the_menus_of_all_accounts_are_listed(operator, shop, li, at_wechat, fake):
    published(shop, li)
    other = make_account("other", name="Morning News", original_id="gh_other")
    ask_wechat(other)
    look_at_menus()
    look_at_menus()
    shown = operator.get(LIVE)
    assert "我的订单 | 服务" in said(shown)
    assert "The account has no AppID or no AppSecret." in said(shown)
    assert [row.account for row in shown.context["cl"].result_list] == [other, shop]
    for query, found in {
        "failure=no_app_secret": [other],
        f"account={shop.slug}": [shop],
        f"q=%23{live(shop).version_id}": [shop],
        "q=x": [],
    }.items():
        rows = operator.get(f"{LIVE}?{query}").context["cl"].result_list
        assert [row.account for row in rows] == found, query
    assert f'href="{LIVE}{other.pk}/change/' in shown.content.decode()
    assert operator.get(f"{LIVE}{other.pk}/change/").url == f"{LIST}?account=other"
    assert operator.get(f"{LIVE}0/change/").status_code == 404
    assert LIVE in operator.get(LIST).content.decode()
    writer = operator_with("view_menuversion")
    assert LIVE not in writer.get(LIST).content.decode()
    assert writer.get(LIVE).status_code == 403
    assert writer.get(f"{LIVE}{other.pk}/change/").status_code == 404


def test_of_several_accounts_one_is_looked_at(operator, shop):
    make_account("other", name="Morning News")
    shown = operator.get(LIST)
    assert shown.context["at_wechat"] is None
    assert "Morning News" in said(shown)
    assert operator.get(f"{LIST}?account=other").context["at_wechat"].account.slug == "other"


def test_versions_are_filtered_by_state_and_failure(operator, shop):
    failed = draft(shop, failure="busy")
    draft(shop)
    for query in ("state=failed", "failure=busy", f"q={failed.pk}"):
        rows = operator.get(f"{LIST}?{query}").context["cl"].result_list
        assert [row.pk for row in rows] == [failed.pk], query


def test_a_page_of_versions_costs_the_same_however_many_there_are(operator, shop):
    def statements():
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(LIST).status_code == 200
        return len(queries)

    draft(shop)
    few = statements()
    for _ in range(20):
        draft(shop)
    assert statements() == few <= 13


# --- Names beside keys -------------------------------------------------------------------------

LOG = "/admin/events/eventlog/"


def click(account, key="MENU_MY_ORDERS", kind="event.CLICK"):
    push(account, message_xml(kind, EventKey=key))
    return account.events.latest("pk")


def event_page(event):
    return f"{LOG}{event.pk}/change/"


def test_names_stand_beside_the_keys_of_menu_events(operator, shop, li, at_wechat):
    published(shop, li)
    event = click(shop)
    for url in (LOG, event_page(event)):
        assert "我的订单 MENU_MY_ORDERS" in said(operator.get(url))
    link = click(shop, "https://www.example.com/shop?a=1&b=2&from=singlemessage", "event.VIEW")
    assert "服务 › 商城 https://www.example.com/shop" in said(operator.get(event_page(link)))
    scan = click(shop, "SCAN_CHECK", "event.scancode_waitmsg")
    assert "服务 › 扫码核验 SCAN_CHECK" in said(operator.get(event_page(scan)))


def test_names_of_keys_that_left_the_menu_are_marked(operator, shop, li, at_wechat):
    renamed = Menu((Button("订单", "click", key="MENU_MY_ORDERS"),))
    published(shop, li)
    published(shop, li, renamed)
    click(shop)
    link = click(shop, "https://www.example.com/shop?a=1&b=2", "event.VIEW")
    shown = said(operator.get(LOG))
    assert "订单 MENU_MY_ORDERS" in shown
    assert "我的订单 MENU_MY_ORDERS" not in shown
    assert "服务 › 商城 (former)" in said(operator.get(event_page(link)))


def test_a_key_has_a_name_of_its_own_account_and_kind_alone(operator, shop, li, at_wechat):
    published(shop, li)
    other = make_account("other", original_id="gh_other")
    foreign = message_xml("event.CLICK", EventKey="MENU_MY_ORDERS", to="gh_other")
    push(other, foreign)
    assert "我的订单" not in said(operator.get(event_page(other.events.get())))
    scan = click(shop, "MENU_MY_ORDERS", "event.SCAN")
    assert "我的订单" not in said(operator.get(event_page(scan)))
    draft(shop, Menu((Button("草稿", "click", key="DRAFT_KEY"),)))
    assert "草稿" not in said(operator.get(event_page(click(shop, "DRAFT_KEY"))))


def test_names_cost_a_page_one_question(operator, shop, li, at_wechat):
    for number in range(5):
        published(shop, li, Menu((Button(f"b{number}", "click", key=f"K{number}"),)))
    for number in range(5):
        click(shop, f"K{number}")
    menu_names._read_before.clear()

    def about_menus():
        with CaptureQueriesContext(connection) as queries:
            shown = said(operator.get(LOG))
        assert all(f"b{number}" in shown for number in range(5))
        return [q["sql"] for q in queries if "menuversion" in q["sql"]]

    assert len(about_menus()) == 2
    assert len(about_menus()) == 1


def test_a_live_menu_is_looked_in_though_others_have_many_newer_versions(
    operator, shop, li, at_wechat, monkeypatch
):
    published(shop, li)
    other = make_account("other")
    for _ in range(3):
        draft(other, OTHER, published_at=timezone.now())
    monkeypatch.setattr(menu_names, "_VERSIONS", 2)
    names = menu_names.MenuNames([shop.pk, other.pk])
    found = names.of_key(shop.pk, "event.click", "MENU_MY_ORDERS")
    assert found is not None
    assert not found.is_former


def test_an_address_of_many_parts_costs_little(shop, li, at_wechat, monkeypatch):
    published(shop, li)
    names = menu_names.MenuNames([shop.pk])
    tried = []

    def candidates(url):
        for candidate in every_candidate(url):
            tried.append(candidate)
            yield candidate

    every_candidate = menu_names._candidates
    monkeypatch.setattr(menu_names, "_candidates", candidates)
    assert names.of_key(shop.pk, "event.view", "https://www.example.com/?" + "&" * 60_000) is None
    assert 0 < len(tried) < 100


def test_reply_rules_show_and_suggest_menu_entries(operator, shop, li, at_wechat):
    published(shop, li)
    rule = make_rule(shop, "event.click", key="MENU_MY_ORDERS", content="x")
    assert "menu: 我的订单" in said_plainly(operator.get("/admin/events/replyrule/"))
    for page in (f"{rule.pk}/change/", "add/"):
        form = operator.get(f"/admin/events/replyrule/{page}").content.decode()
        assert 'value="MENU_MY_ORDERS"' in form
        assert "我的订单" in form
        # Only keys that a reply rule is asked for.
        assert "SCAN_CHECK" not in form


def test_old_versions_beyond_the_newest_are_remembered_in_bounds(shop, monkeypatch):
    monkeypatch.setattr(menu_names, "_MOST_KEPT", 3)
    menu_names._read_before.clear()
    now = timezone.now()
    for number in range(5):
        draft(shop, OTHER, published_at=now - datetime.timedelta(hours=number))
        menu_names.MenuNames([shop.pk])
    assert len(menu_names._read_before) <= 5
    assert menu_names.MenuNames([shop.pk]).of_key(shop.pk, "event.click", "MENU_MY_ORDERS")
