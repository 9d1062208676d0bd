"""Menus against the fake platform: published, failed, withdrawn, taken back, compared."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import signal
import socket
import time
from random import Random

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone, translation

from events.menus import publish as publishing
from events.menus.menu_words import changes
from events.menus.publish import (
    NotPossible,
    ask_wechat,
    look_at_menus,
    look_regularly,
    publish,
    publish_menus,
    take_back,
    withdraw,
)
from events.models import LiveMenu, MenuVersion
from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, Fault
from events.testing import make_account
from events.tests.menus.menu_racer import ask_to_publish, prepare, serve, states_of
from events.wechat.api.menu_model import BUTTON_TYPES, Button, Menu

CREATE = "/cgi-bin/menu/create"
CURRENT = "/cgi-bin/get_current_selfmenu_info"

ORDERS = Button("我的订单", "click", key="MENU_MY_ORDERS")
SHOP = Button("商城", "view", url="https://www.example.com/shop?a=1&b=2")
SCAN = Button("扫码核验", "scancode_waitmsg", key="SCAN_CHECK")
MENU = Menu((ORDERS, Button("服务", sub_buttons=(SHOP, SCAN))))
OTHER = Menu((ORDERS,))
MADE_IN_CONSOLE = {
    "button": [
        {"name": "今日文章", "type": "news", "value": "M1", "news_info": {"list": [{}]}},
        {"name": "官网", "type": "view", "url": "https://www.example.com/"},
    ]
}

State = MenuVersion.State


@pytest.fixture(autouse=True)
def english():
    with translation.override("en"):
        yield


@pytest.fixture
def li(db):
    return User.objects.create_user("li.wei")


def draft(account, menu=MENU, **columns):
    made = {"account": account, "menu": menu.to_json(), "due_at": None}
    return MenuVersion.objects.create(**(made | columns))


def now_of(version):
    return MenuVersion.objects.get(pk=version.pk)


def live(account):
    return LiveMenu.objects.select_related("version").get(account=account)


def published(account, user, menu=MENU):
    version = draft(account, menu)
    publish(version, user=user)
    publish_menus()
    assert now_of(version).state == State.PUBLISHED
    return now_of(version)


def make_due(version):
    """As after the pause that a failure brought."""
    MenuVersion.objects.filter(pk=version.pk).update(due_at=timezone.now())


# --- Publishing ---


def test_a_draft_is_published_by_the_worker_and_confirmed(shop, li, at_wechat, fake):
    version = draft(shop)
    assert version.state == State.DRAFT
    publish(version, user=li)
    assert now_of(version).state == State.WAITING
    assert fake.calls == {}
    assert publish_menus() == 1
    assert now_of(version).state == State.PUBLISHED
    assert now_of(version).published_by == li
    assert at_wechat.menu["button"][0]["name"] == "我的订单"
    assert (live(shop).version, live(shop).asked_at) == (version, None)
    assert look_at_menus() == 1
    assert live(shop).version == version
    assert live(shop).asked_at is not None
    assert (publish_menus(), look_at_menus()) == (0, 0)
    assert (fake.calls[CREATE], fake.calls[CURRENT]) == (1, 1)


def test_no_transaction_is_open_while_the_platform_is_called(shop, li, at_wechat, monkeypatch):
    seen = []
    original = publishing.client_for

    def client_for(account):
        seen.append(len(connection.savepoint_ids))
        return original(account)

    monkeypatch.setattr(publishing, "client_for", client_for)
    outside = len(connection.savepoint_ids)
    publish(draft(shop), user=li)
    publish_menus()
    look_at_menus()
    assert seen == [outside, outside]


def test_a_busy_platform_is_asked_again_later(shop, li, at_wechat, fake):
    version = draft(shop)
    publish(version, user=li)
    fake.make_trouble(CREATE, Fault(errcode=-1, times=2))
    publish_menus()
    waiting = now_of(version)
    assert (waiting.state, waiting.failure) == (State.WAITING, "busy")
    assert "-1" in waiting.failure_text
    assert "rid" in waiting.failure_text
    assert waiting.due_at > timezone.now()
    assert publish_menus() == 0
    for _ in range(2):
        make_due(version)
        publish_menus()
    assert now_of(version).state == State.PUBLISHED
    assert (now_of(version).failure, now_of(version).failure_text) == ("", "")


def test_what_stays_busy_is_given_up_and_can_be_tried_again(shop, li, at_wechat, fake):
    version = draft(shop)
    publish(version, user=li)
    fake.make_trouble(CREATE, Fault(errcode=-1, times=None))
    for _ in range(5):
        assert now_of(version).state == State.WAITING
        make_due(version)
        publish_menus()
    assert now_of(version).state == State.FAILED
    fake.end_trouble()
    publish(now_of(version), user=li)
    publish_menus()
    assert now_of(version).state == State.PUBLISHED


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault(errcode=40018), "request"),
        (Fault(errcode=40055), "request"),
        (Fault(errcode=65317), "request"),
        (Fault(errcode=40013), "credentials"),
        (Fault(errcode=48001), "permission"),
        (Fault(errcode=40164), "address"),
        (Fault(errcode=99999), "refused"),
    ],
)
def test_a_refusal_waits_for_an_operator(shop, li, at_wechat, fake, fault, failure):
    version = draft(shop)
    publish(version, user=li)
    fake.make_trouble(CREATE, fault)
    publish_menus()
    failed = now_of(version)
    assert (failed.state, failed.failure) == (State.FAILED, failure)
    assert str(fault.errcode) in failed.failure_text
    assert at_wechat.menu is None
    assert not LiveMenu.objects.exists()
    assert MenuVersion.objects.failed().try_again(timezone.now()) == 1
    publish_menus()
    assert now_of(version).state == State.PUBLISHED


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault(status=502), "bad_answer"),
        (Fault(reset=True), "unreachable"),
        (Fault(errcode=45009), "daily_quota"),
        (Fault(errcode=45011), "rate_limit"),
    ],
)
def test_what_passes_by_itself_is_waited_for(shop, li, fake, fault, failure):
    version = draft(shop)
    publish(version, user=li)
    fake.make_trouble(CREATE, fault)
    publish_menus()
    assert (now_of(version).state, now_of(version).failure) == (State.WAITING, failure)


@pytest.mark.parametrize("failure", ["token", "credentials", "unreachable"])
def test_a_failure_before_the_call_is_kept_too(shop, li, at_wechat, fake, settings, failure):
    if failure == "token":
        fake.make_trouble(CREATE, Fault(errcode=40001, times=None))
    elif failure == "credentials":
        fake.make_trouble("/cgi-bin/stable_token", Fault(errcode=40125, times=None))
    else:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            settings.WECHAT_API_BASE = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    version = draft(shop)
    publish(version, user=li)
    publish_menus()
    failed = now_of(version)
    assert failed.failure == failure
    assert failed.failure_text
    assert failed.state == (State.FAILED if failure == "credentials" else State.WAITING)
    assert at_wechat.menu is None


def test_a_fault_of_this_site_waits_for_an_operator(shop, li, at_wechat, monkeypatch, caplog):
    def fails(account):
        raise RuntimeError("no \0 luck \ud800")

    monkeypatch.setattr(publishing, "client_for", fails)
    version = draft(shop)
    publish(version, user=li)
    assert publish_menus() == 1
    failed = now_of(version)
    assert (failed.state, failed.failure) == (State.FAILED, "fault")
    assert failed.failure_text == "RuntimeError: no  luck "
    assert "RuntimeError" in caplog.text


def test_without_an_app_secret_nothing_is_called(db, li, fake):
    account = make_account()
    version = draft(account)
    with pytest.raises(NotPossible, match="AppSecret"):
        publish(version, user=li)
    # It may be taken away while a version waits.
    MenuVersion.objects.filter(pk=version.pk).update(due_at=timezone.now())
    publish_menus()
    assert (now_of(version).state, now_of(version).failure) == (State.FAILED, "no_app_secret")
    assert fake.calls == {}


def test_what_wechat_would_refuse_does_not_even_wait(shop, li):
    version = draft(shop, Menu((Button("六个汉字名称", "click", key="K"),)))
    with pytest.raises(NotPossible):
        publish(version, user=li)
    assert now_of(version).state == State.DRAFT


def test_a_published_version_is_not_published_twice(shop, li, at_wechat, fake):
    version = published(shop, li)
    for stale in (version, now_of(version)):
        with pytest.raises(NotPossible, match="already"):
            publish(stale, user=li)
    assert publish_menus() == 0
    assert fake.calls[CREATE] == 1


def test_what_was_changed_since_it_was_looked_at_is_not_published(shop, li):
    looked_at = draft(shop)
    MenuVersion.objects.update(menu=OTHER.to_json(), revision=1)
    with pytest.raises(NotPossible, match="has changed version"):
        publish(looked_at, user=li)
    assert now_of(looked_at).state == State.DRAFT


def test_one_version_of_an_account_waits_at_a_time(shop, li, at_wechat):
    first, second = draft(shop), draft(shop, OTHER)
    publish(first, user=li)
    publish(second, user=li)
    assert (now_of(first).state, now_of(second).state) == (State.DRAFT, State.WAITING)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_due(first)
    publish_menus()
    assert [button["name"] for button in at_wechat.menu["button"]] == ["我的订单"]


def test_nothing_overtakes_a_version_that_is_on_its_way(shop, li, at_wechat):
    first, second = draft(shop), draft(shop, OTHER)
    publish(first, user=li)
    now = timezone.now()
    [claimed] = MenuVersion.objects.claim(now, limit=1, lease=datetime.timedelta(seconds=60))
    for attempt in (lambda: publish(second, user=li), lambda: withdraw(first)):
        with pytest.raises(NotPossible, match="on its way"):
            attempt()
    assert now_of(second).state == State.DRAFT
    # A worker that was killed holds it for no longer than its lease.
    MenuVersion.objects.filter(pk=first.pk).update(leased_until=now)
    publish(second, user=li)
    assert not MenuVersion.objects.finish(claimed, published_at=now)
    assert now_of(first).state == State.DRAFT


def test_a_worker_that_was_too_slow_makes_wechat_be_asked(shop, li, at_wechat, fake):
    slow, quick = draft(shop), draft(shop, OTHER)
    publish(slow, user=li)
    now = timezone.now()
    [claimed] = MenuVersion.objects.claim(now, limit=1, lease=datetime.timedelta(0))
    publish(quick, user=li)
    publish_menus()
    look_at_menus()
    assert live(shop).version == quick
    # Its call arrives only now, and so replaces the later menu.
    publishing._publish(claimed)
    assert now_of(slow).state == State.DRAFT
    assert live(shop).due_at is not None
    look_at_menus()
    assert live(shop).version.content == MENU


def test_a_waiting_version_can_be_withdrawn(shop, li, fake):
    version = draft(shop)
    publish(version, user=li)
    withdraw(version)
    assert now_of(version).state == State.DRAFT
    assert publish_menus() == 0
    with pytest.raises(NotPossible, match="does not wait"):
        withdraw(version)


def test_trying_all_again_takes_the_newest_of_an_account(shop, li):
    other = make_account("other")
    failed = {"failure": "request", "failure_text": "no"}
    old, new = draft(shop, **failed), draft(shop, **failed)
    beside_waiting = draft(other, **failed)
    waiting = draft(other, due_at=timezone.now())
    assert MenuVersion.objects.failed().try_again(timezone.now()) == 1
    states = [now_of(version).state for version in (old, new, beside_waiting, waiting)]
    assert states == [State.FAILED, State.WAITING, State.FAILED, State.WAITING]


def test_states_are_found_as_they_are_shown(shop, li):
    now = timezone.now()
    made = {
        State.DRAFT: draft(shop),
        State.FAILED: draft(shop, failure="busy"),
        State.WAITING: draft(shop, due_at=now, failure="busy"),
        State.PUBLISHED: draft(shop, published_at=now),
    }
    for state, version in made.items():
        assert version.state == state
        assert list(MenuVersion.objects.in_state(state)) == [version]
    assert not hasattr(made[State.DRAFT], "is_live")


# --- Taking back ---


def test_an_earlier_version_is_published_again_as_a_new_one(shop, li, at_wechat):
    first = published(shop, li)
    second = published(shop, li, OTHER)
    again = take_back(first, user=li, note="back")
    publish_menus()
    look_at_menus()
    assert (now_of(again).state, again.based_on, again.note) == (State.PUBLISHED, first, "back")
    assert again.pk not in {first.pk, second.pk}
    assert again.content == MENU
    assert live(shop).version == again
    assert len(at_wechat.menu["button"]) == 2


def test_what_only_the_console_can_make_is_not_taken_back(shop, li, at_wechat):
    at_wechat.console_menu = MADE_IN_CONSOLE
    ask_wechat(shop)
    look_at_menus()
    found = live(shop).version
    with pytest.raises(NotPossible):
        take_back(found, user=li, note="")
    assert MenuVersion.objects.count() == 1


def test_what_was_never_published_is_not_taken_back(shop, li):
    with pytest.raises(NotPossible, match="not been published"):
        take_back(draft(shop), user=li, note="")
    assert MenuVersion.objects.count() == 1


# --- What WeChat shows ---


@pytest.mark.parametrize("kind", BUTTON_TYPES)
def test_each_type_is_published_and_found_again(shop, li, at_wechat, kind):
    values = {
        "key": "键😀", "url": "https://www.example.com/?a=1&b=商城#top", "media_id": "M",
        "appid": "wx0000000000000000", "pagepath": "pages/index?a=1", "article_id": "A",
    }  # fmt: skip
    button = Button("五个汉字", kind, **{name: values[name] for name in BUTTON_TYPES[kind]})
    version = published(shop, li, Menu((button, Button("更多😀", sub_buttons=(button,)))))
    [top, below] = at_wechat.menu["button"]
    sent = {name: value for name, value in top.items() if name != "sub_button"}
    assert sent == {
        "type": kind, "name": "五个汉字", **{name: values[name] for name in BUTTON_TYPES[kind]}
    }  # fmt: skip
    assert below["sub_button"][0]["type"] == kind
    look_at_menus()
    assert live(shop).version == version
    assert MenuVersion.objects.count() == 1


def test_menus_for_some_followers_are_counted_and_left_alone(shop, li, at_wechat, fake):
    some = {
        "button": [{"type": "click", "name": "VIP", "key": "V", "sub_button": []}],
        "matchrule": {"tag_id": "2"},
        "menuid": 208396993,
    }
    at_wechat.menu = {"button": [{"type": "click", "name": "a", "key": "A", "sub_button": []}]}
    at_wechat.conditional_menus = [some]
    ask_wechat(shop)
    look_at_menus()
    assert live(shop).conditional_menus == 1
    published(shop, li)
    look_at_menus()
    assert at_wechat.conditional_menus == [some]
    assert live(shop).conditional_menus == 1
    assert "/cgi-bin/menu/delete" not in fake.calls


def test_a_menu_that_was_deleted_elsewhere_is_noticed(shop, li, at_wechat):
    version = published(shop, li)
    at_wechat.menu = None
    look_at_menus()
    assert (live(shop).version, live(shop).failure) == (None, "")
    again = take_back(version, user=li, note="")
    publish_menus()
    look_at_menus()
    assert live(shop).version == again


def test_whatever_the_console_made_is_kept(shop, at_wechat, fake):
    hostile = "<script>alert(1)</script>\0\ud800\u202e&amp;"
    buttons = [
        {"name": hostile, "type": "text", "value": hostile},
        {"name": "很" * 5000, "type": "new_kind", "url": "x" * 5000},
        {"name": "many", "sub_button": {"list": [{"name": str(at)} for at in range(200)]}},
        {"name": "nothing"},
    ]
    shown = json.dumps({"is_menu_open": 1, "selfmenu_info": {"button": buttons}}).encode()
    fake.make_trouble(CURRENT, Fault(body=shown, times=2))
    for _ in range(2):
        ask_wechat(shop)
        look_at_menus()
    assert live(shop).failure_text == ""
    first, second, third, fourth = MenuVersion.objects.get().content.buttons
    assert first.name == first.value == "<script>alert(1)</script>\u202e&amp;"
    assert (len(second.name), second.type, len(third.sub_buttons)) == (5000, "new_kind", 200)
    assert fourth == Button("nothing")


@pytest.mark.parametrize(
    "answer",
    [b"[]", b"{}", b'{"selfmenu_info": 3}', b'{"is_menu_open":1,"selfmenu_info":{"button":[3]}}'],
)
def test_an_answer_that_is_no_menu_does_no_harm(shop, li, at_wechat, fake, answer):
    version = published(shop, li)
    fake.make_trouble(CURRENT, Fault(body=answer))
    look_at_menus()
    if answer == b"{}":
        assert live(shop).version is None
    else:
        assert (live(shop).version, live(shop).failure) == (version, "bad_answer")


def test_a_menu_made_elsewhere_is_kept_as_wechat_has_it(shop, at_wechat, fake):
    at_wechat.console_menu = MADE_IN_CONSOLE
    ask_wechat(shop)
    assert look_at_menus() == 1
    version = live(shop).version
    assert (version.origin, version.state) == (MenuVersion.Origin.WECHAT, State.PUBLISHED)
    assert version.content == Menu(
        (
            Button("今日文章", "news", value="M1"),
            Button("官网", "view", url="https://www.example.com/"),
        )
    )
    ask_wechat(shop)
    look_at_menus()
    assert MenuVersion.objects.count() == 1


def test_no_menu_at_all_is_known_to_be_none(shop, at_wechat):
    ask_wechat(shop)
    look_at_menus()
    assert live(shop).version is None
    assert live(shop).asked_at is not None
    assert not MenuVersion.objects.exists()


def test_a_change_made_elsewhere_and_undone_is_seen_both_times(shop, li, at_wechat):
    version = published(shop, li)
    at_wechat.console_menu = MADE_IN_CONSOLE
    look_at_menus()
    assert live(shop).version.origin == MenuVersion.Origin.WECHAT
    at_wechat.console_menu = None
    ask_wechat(shop)
    look_at_menus()
    assert live(shop).version == version


def test_what_waits_is_not_taken_for_made_elsewhere(shop, li, at_wechat, fake):
    version = draft(shop)
    publish(version, user=li)
    # It arrived, and the answer did not.
    at_wechat.menu = {
        "button": [{**button, "sub_button": []} for button in OTHER.to_json()["button"]]
    }
    fake.make_trouble(CREATE, Fault(reset=True))
    publish_menus()
    ask_wechat(shop)
    look_at_menus()
    assert MenuVersion.objects.get() == version
    make_due(version)
    publish_menus()
    look_at_menus()
    assert live(shop).version == version


def test_an_answer_from_before_the_publishing_is_not_believed(shop, li, at_wechat):
    ask_wechat(shop)
    now = timezone.now()
    [asking] = LiveMenu.objects.claim(now, limit=1, lease=datetime.timedelta(seconds=60))
    version = published(shop, li)
    assert not LiveMenu.objects.finish(asking, asked_at=now)
    assert live(shop).version == version
    assert live(shop).due_at is not None


def test_failing_to_ask_is_kept_and_asking_again_is_possible(shop, at_wechat, fake):
    fake.make_trouble(CURRENT, Fault(errcode=48001))
    ask_wechat(shop)
    look_at_menus()
    assert (live(shop).failure, live(shop).due_at) == ("permission", None)
    # An account without the permission is not asked for over and over.
    LiveMenu.objects.update(asked_at=timezone.now() - datetime.timedelta(days=2))
    assert look_regularly() == 0
    ask_wechat(shop)
    look_at_menus()
    assert live(shop).failure == ""


def test_wechat_is_asked_again_after_half_a_day(shop, at_wechat):
    ask_wechat(shop)
    look_at_menus()
    assert look_regularly() == 0
    LiveMenu.objects.update(asked_at=timezone.now() - datetime.timedelta(hours=13))
    shop.is_active = False
    shop.save()
    assert look_regularly() == 0
    shop.is_active = True
    shop.save()
    assert look_regularly() == 1
    assert look_at_menus() == 1


def test_an_account_is_deleted_with_its_menus(shop, li, at_wechat):
    published(shop, li)
    shop.delete()
    assert not MenuVersion.objects.exists()
    assert not LiveMenu.objects.exists()


# --- What changes ---


@pytest.mark.parametrize(
    ("former", "new", "told"),
    [
        (MENU, MENU, []),
        (Menu(()), OTHER, ["New: 我的订单 – send a key (点击推事件), MENU_MY_ORDERS"]),
        (MENU, OTHER, ["Gone: 服务", "Gone: 服务 › 商城", "Gone: 服务 › 扫码核验"]),
        (
            OTHER,
            Menu((Button("我的订单", "click", key="K2"),)),
            ["Changed: 我的订单 – send a key (点击推事件), K2"],
        ),
        (
            Menu((Button("a", sub_buttons=(SHOP, SCAN)),)),
            Menu((Button("a", sub_buttons=(SCAN, SHOP)),)),
            ["Changed: the order of the entries"],
        ),
        (
            Menu((ORDERS, ORDERS)),
            OTHER,
            ["Gone: 我的订单"],
        ),
    ],
)
def test_what_changes_is_told(former, new, told):
    from django.utils import translation

    with translation.override("en"):
        assert changes(former, new) == told


# --- Real processes ---

PROCESSES = 6
SECRET = "5d41402abc4b2a76b9719d911017c592"


@pytest.fixture
def slow_platform():
    """A platform that takes half a second, and its address."""
    fake = FakeWeChatAPI(random=Random(1), latency=(0.5, 0.6))
    fake.add_account("wx3a9f0c27d81be645", SECRET)
    with FakeWeChatAPIServer(fake) as server:
        yield fake, server.url


@pytest.mark.slow
def test_workers_that_race_publish_once(racers, race_database, slow_platform):
    fake, url = slow_platform
    [pk] = racers.call(prepare, race_database, SECRET, [MENU.to_json()], True)
    served = sorted(racers.race(serve, [(race_database, url)] * PROCESSES))
    assert served == [0] * (PROCESSES - 1) + [1]
    assert fake.calls[CREATE] == 1
    assert racers.call(states_of, race_database, [pk]) == [("published", 0, True)]


@pytest.mark.slow
@pytest.mark.parametrize("versions", [1, PROCESSES], ids=["one version", "several versions"])
def test_operators_who_publish_at_once_leave_one_version_waiting(racers, race_database, versions):
    several = [MENU.to_json()] * versions
    pks = racers.call(prepare, race_database, SECRET, several, False)
    shares = [(race_database, pks[number % versions]) for number in range(PROCESSES)]
    accepted = racers.race(ask_to_publish, shares)
    # Of one version the first alone is heard; of several, each takes the place of the one before.
    assert sum(accepted) == versions
    states = [state for state, _, _ in racers.call(states_of, race_database, pks)]
    assert sorted(states) == ["draft"] * (versions - 1) + ["waiting"]


@pytest.mark.slow
def test_a_worker_that_is_killed_in_its_call_loses_nothing(racers, race_database, slow_platform):
    fake, url = slow_platform
    # It is killed in this call.
    fake.make_trouble(CREATE, Fault(delay=1000))
    [pk] = racers.call(prepare, race_database, SECRET, [MENU.to_json()], True)
    killed = multiprocessing.get_context("spawn").Process(
        target=serve, args=(race_database, url, 5)
    )
    killed.start()
    while not fake.calls.get(CREATE):
        assert killed.is_alive()
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    assert fake.calls[CREATE] == 1
    fake.end_trouble()
    assert racers.call(states_of, race_database, [pk]) == [("waiting", 1, False)]
    # Nothing to serve until its lease is over.
    deadline = time.monotonic() + 60
    while not racers.call(serve, race_database, url):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert racers.call(states_of, race_database, [pk]) == [("published", 0, True)]
    assert fake.calls[CREATE] == 2
