"""The fake platform as the simulator and the demonstration use it."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections import Counter
from random import Random

import httpx
import pytest

from events.simulator import Code, Follower, Population, acts
from events.simulator.fake_api import (
    FakeWeChatAPI,
    FakeWeChatAPIServer,
    Fault,
    Issued,
    ListedFollowers,
    NumberedFollowers,
    PopulationFollowers,
    Request,
    acts_on,
)
from events.testing import MemoryTokens
from events.wechat.api import (
    APIError,
    AppCredentials,
    Client,
    DailyQuotaReached,
    RecipientRejected,
    Wire,
)
from events.wechat.api.custom_messages import Choice, ChoiceMessage, TextMessage
from events.wechat.api.menu_model import Button, Menu

pytestmark = pytest.mark.any_database

APP_ID = "wx3a9f0c27d81be645"
CREDENTIALS = AppCredentials(APP_ID, "secret")
ORIGINAL_ID = "gh_5f2c81d0a7be"


@pytest.fixture
def fake():
    return FakeWeChatAPI(random=Random(1))


@pytest.fixture
def server(fake):
    with FakeWeChatAPIServer(fake) as running:
        yield running


@pytest.fixture
def client(server):
    plain = httpx.HTTPTransport(verify=False)
    wire = Wire(api_base=server.url, mp_base=server.url, transport=plain)
    yield Client(wire, MemoryTokens(wire, CREDENTIALS))
    wire.close()


def ask(fake, path, method="GET", body=b"", **query):
    answer = fake.handle(Request(method, path, query, body))
    return json.loads(answer.body)


def token(fake):
    return ask(
        fake,
        "/cgi-bin/token",
        grant_type="client_credential",
        appid=APP_ID,
        secret=CREDENTIALS.app_secret,
    )["access_token"]


def openids_of(client):
    page = client.users.page()
    while page.openids:
        yield from page.openids
        page = client.users.page(page.next_openid)


def profile_of(client, openid):
    [profile] = client.users.infos([openid]).found
    return profile


# --- With the simulator's people ---


@pytest.fixture
def population():
    return Population(ORIGINAL_ID, random=Random(3))


@pytest.fixture
def account(fake, population):
    return fake.add_account(APP_ID, "secret", followers=PopulationFollowers(population))


def test_whoever_follows_in_the_simulation_follows_on_the_platform(client, account, population):
    pushes = list(acts(population, range(1_767_225_600, 1_767_226_600)))
    following = set()
    for push in pushes:
        if push.kind == "event.subscribe":
            following.add(push.openid)
        elif push.kind == "event.unsubscribe":
            following.remove(push.openid)
    assert len(following) > 20
    assert set(openids_of(client)) == following
    assert client.users.page().total == len(following) == population.following
    follows = {push.openid: push for push in pushes if push.kind == "event.subscribe"}
    for openid, follow in follows.items():
        profile = profile_of(client, openid)
        assert profile.is_following == (openid in following)
        if profile.is_following:
            assert profile.subscribe_time == follow.create_time
            assert follow.event_key in {
                f"qrscene_{profile.scene}" if profile.scene else "",
                "last_trade_no_" + follow.event_key.removeprefix("last_trade_no_"),
            }


def test_people_of_an_earlier_run_are_known(fake, client):
    known = [Follower("o1", is_following=True, last_act=1_767_225_600), Follower("o2")]
    population = Population(ORIGINAL_ID, random=Random(3), known=known)
    fake.add_account(APP_ID, "secret", followers=PopulationFollowers(population))
    assert list(openids_of(client)) == ["o1"]
    assert profile_of(client, "o1").subscribe_time == 1_767_225_600
    assert not profile_of(client, "o2").is_following


def test_a_code_that_was_created_is_scanned_by_somebody(client, account, population):
    made = client.qr_codes.create_temporary("bind-7F3K", expire_seconds=600)
    client.qr_codes.create_permanent("poster")
    code = account.next_code()
    assert code == Code("bind-7F3K", ticket=made.ticket, made_at=code.made_at)
    assert account.next_code() is None
    pushes = population.scan(code, code.made_at)
    assert made.ticket.encode() in pushes[0].body
    assert pushes[0].event_key.removeprefix("qrscene_") == "bind-7F3K"


def test_codes_that_hang_somewhere_are_scanned_by_many_and_those_for_one_by_one(
    client, account, population
):
    client.qr_codes.create_permanent("poster")
    client.qr_codes.create_temporary("market", expire_seconds=7 * 24 * 3600)
    account.hang(Issued("brochure", "gQold", "", 0, None))
    account.hang(Issued("last-week", "gQpast", "", 0, 1000))
    client.qr_codes.create_temporary("bind-7F3K", expire_seconds=600)
    assert {poster.scene for poster in account.posters()} == {"poster", "market", "brochure"}
    assert account.next_code(min_age=60) is None
    now = int(account._now())
    pushes = list(acts_on(account, population, range(now, now + 1500), delay=0))
    scenes = Counter(push.event_key.removeprefix("qrscene_") for push in pushes)
    assert min(scenes["poster"], scenes["market"], scenes["brochure"]) > 10
    assert scenes["last-week"] == 0
    assert 1 <= scenes["bind-7F3K"] <= 2
    assert f"<Ticket><![CDATA[{account.posters()[0].ticket}]]>".encode() in b"".join(
        push.body for push in pushes
    )


def test_people_tap_the_menu_that_is_shown_whoever_made_it(client, account, population):
    def tapped(start):
        keys = {}
        for push in acts_on(account, population, range(start, start + 1000)):
            if push.event in {"CLICK", "VIEW", "view_miniprogram", "location_select"}:
                keys.setdefault(push.event, set()).add(push.event_key)
        return keys

    assert tapped(1_767_225_600) == {}
    account.console_menu = {
        "button": [
            {"name": "旧", "type": "click", "key": "OLD"},
            {"name": "更多", "sub_button": {"list": [{"type": "view", "url": "https://a.cn/"}]}},
            {"name": "图文", "type": "news", "value": "m1"},
        ]
    }
    assert tapped(1_767_230_000) == {"CLICK": {"OLD"}, "VIEW": {"https://a.cn/"}}
    client.menus.create(
        Menu(
            (
                Button("新", "click", key="NEW"),
                Button(
                    "更多",
                    sub_buttons=(
                        Button("门店", "location_select", key="WHERE"),
                        Button("商城", "miniprogram", url="https://a.cn/", appid="w", pagepath="p"),
                    ),
                ),
            )
        )
    )
    assert tapped(1_767_240_000) == {
        "CLICK": {"NEW"},
        "location_select": {"WHERE"},
        "view_miniprogram": {"p"},
    }


def test_messages_are_answered_by_those_who_got_them(client, account, population):
    now = int(account._now())
    times = iter(range(now, now + 10_000))
    first = next(acts_on(account, population, times))
    client.custom_messages.send(first.openid, ChoiceMessage("满意吗？", (Choice("7", "满意"),)))
    assert account.next_letter(min_age=60) is None
    pushes = acts_on(account, population, times, delay=0)
    answer = next(push for push in pushes if b"<bizmsgmenuid>7<" in push.body)
    assert answer.openid == first.openid
    assert "满意".encode() in answer.body
    assert account.next_letter() is None
    client.custom_messages.send(answer.openid, TextMessage("谢谢"))


def test_what_people_do_opens_their_window(client, account, population):
    at = int(account._now())
    follow = next(push for push in acts(population, [at] * 50) if push.kind == "event.subscribe")
    with pytest.raises(RecipientRejected):
        client.custom_messages.send(follow.openid, TextMessage("欢迎"))
    account.note_push(follow)
    client.custom_messages.send(follow.openid, TextMessage("欢迎"))
    assert [(sent.openid, sent.body["text"]["content"]) for sent in account.sent] == [
        (follow.openid, "欢迎")
    ]


# --- Many ---


@pytest.mark.slow
def test_many_followers_take_no_memory(fake, client):
    people = NumberedFollowers(200_000)
    fake.add_account(APP_ID, "secret", followers=people)
    tracemalloc.start()
    count = 0
    last = ""
    for openid in openids_of(client):
        assert openid > last
        count, last = count + 1, openid
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 200_000
    assert fake.calls["/cgi-bin/user/get"] == 21
    assert peak < 4_000_000
    profiles = client.users.infos([people.openid(0), people.openid(199_999)]).found
    assert [profile.subscribe_time for profile in profiles] == [
        1_600_000_000,
        1_600_000_000 + 60 * 199_999,
    ]
    assert client.users.infos([people.openid(200_000), "oNUMBR" + "x" * 22]).found == ()


def test_the_quota_of_listings_ends_a_second_day_of_them(fake, client):
    account = fake.add_account(APP_ID, "secret", followers=NumberedFollowers(1))
    account.quotas.daily["/cgi-bin/user/get"] = 3
    assert len(list(openids_of(client))) == 1
    with pytest.raises(DailyQuotaReached):
        list(openids_of(client))


def test_paging_goes_on_though_people_leave(fake, client):
    people = ListedFollowers(Follower(f"o{number}", is_following=True) for number in range(6))
    account = fake.add_account(APP_ID, "secret", followers=people)
    account.page_size = 2
    openids = openids_of(client)
    assert [next(openids), next(openids)] == ["o0", "o1"]
    people.add(Follower("o1"))
    people.add(Follower("o3"))
    assert list(openids) == ["o2", "o4", "o5"]


# --- Trouble ---


def test_the_same_seed_gives_the_same_answers():
    def run():
        fake = FakeWeChatAPI(random=Random(5), now=lambda: 1_767_225_600, failure_rate=0.3)
        fake.add_account(APP_ID, "secret")
        return [
            fake.handle(Request("GET", "/cgi-bin/menu/get", {"access_token": token_or_not}))
            for token_or_not in ["x" * 40, ""] * 20
        ]

    assert run() == run()


def test_the_failure_rate_is_a_share_of_calls_and_has_all_kinds(fake):
    fake.add_account(APP_ID, "secret")
    access_token = token(fake)
    fake.failure_rate = 0.3
    answers = [
        fake.handle(Request("GET", "/cgi-bin/tags/get", {"access_token": access_token}))
        for _ in range(1000)
    ]
    cut = sum(answer.reset for answer in answers)
    broken = sum(answer.status == 500 for answer in answers)
    busy = sum(b'"errcode": -1' in answer.body for answer in answers)
    assert min(cut, broken, busy) > 50
    assert 240 < cut + broken + busy < 360
    fake.end_trouble()
    assert "tags" in ask(fake, "/cgi-bin/tags/get", access_token=access_token)


def test_a_fault_happens_as_often_as_it_was_told_to(fake, client):
    fake.add_account(APP_ID, "secret")
    assert client.menus.get() is None
    fake.make_trouble("/cgi-bin/menu/get", Fault(errcode=-1, times=2))
    fake.make_trouble("*", Fault(status=500))
    for expected in (": -1", ": -1", "status 500"):
        with pytest.raises(APIError, match=expected):
            client.menus.get()
    assert client.menus.get() is None


def test_latency_is_between_its_limits(fake):
    fake.latency = (0.03, 0.12)
    delays = [fake.handle(Request("GET", "/cgi-bin/tags/get", {})).delay for _ in range(200)]
    assert 0.03 <= min(delays) < 0.05
    assert 0.1 < max(delays) <= 0.12


@pytest.mark.parametrize(
    ("path", "method", "body", "errcode"),
    [
        ("/cgi-bin/nothing", "GET", b"", 40035),
        ("/cgi-bin/menu/create", "GET", b"", 43002),
        ("/cgi-bin/menu/get", "POST", b"{}", 43001),
        ("/cgi-bin/menu/create", "POST", b"", 44002),
        ("/cgi-bin/menu/create", "POST", b"{", 47001),
        ("/cgi-bin/menu/create", "POST", b"[]", 47001),
        ("/cgi-bin/menu/create", "POST", b"\xff", 47001),
        ("/cgi-bin/stable_token", "GET", b"", 43002),
        ("/cgi-bin/stable_token", "POST", b"{}", 40002),
    ],
)
def test_a_wrong_request_is_refused_in_wechats_words(fake, path, method, body, errcode):
    fake.add_account(APP_ID, "secret")
    assert ask(fake, path, method, body, access_token=token(fake))["errcode"] == errcode


def test_accounts_are_kept_apart(fake):
    fake.add_account(APP_ID, "secret").tags[7] = "ours"
    other = fake.add_account("wxother", "secret")
    assert ask(fake, "/cgi-bin/tags/get", access_token=token(fake))["tags"][-1]["name"] == "ours"
    other.expire_tokens()
    assert "tags" in ask(fake, "/cgi-bin/tags/get", access_token=token(fake))


# --- From another process ---


def control(server, name, **fields):
    answer = httpx.post(f"{server.url}/__control__/{name}", json=fields)
    return answer.status_code


def question(server, name, **fields):
    return httpx.get(f"{server.url}/__control__/{name}", params=fields).json()


def test_control_from_outside(server, fake, client):
    people = ListedFollowers([Follower("o1", is_following=True)])
    fake.add_account(APP_ID, "secret", followers=people)
    assert client.users.page().openids == ("o1",)

    assert control(server, "exhaust_quota", appid=APP_ID, path="/cgi-bin/user/get") == 200
    with pytest.raises(DailyQuotaReached):
        client.users.page()
    assert control(server, "make_trouble", path="/cgi-bin/menu/get", body="<html>") == 200
    with pytest.raises(APIError, match="not JSON"):
        client.menus.get()
    assert control(server, "expire_tokens", appid=APP_ID, errcode=40014) == 200
    assert client.menus.get() is None
    assert question(server, "calls")["/cgi-bin/stable_token"] == 2

    assert control(server, "act", appid=APP_ID, openid="o1", kind="event.CLICK") == 200
    client.custom_messages.send("o1", TextMessage("您好"))
    [sent] = question(server, "sent", appid=APP_ID)
    assert (sent["openid"], sent["body"]["text"]["content"]) == ("o1", "您好")

    code = client.qr_codes.create_temporary("s1", expire_seconds=60)
    assert question(server, "scene", ticket=code.ticket) == {"scene": "s1"}
    expected = {"scene": "s1", "ticket": code.ticket}
    assert question(server, "next_code", appid=APP_ID) == expected
    assert question(server, "next_code", appid=APP_ID) is None
    assert question(server, "menu", appid=APP_ID) is None

    assert control(server, "behave", latency=[0, 0.001], failure_rate=1) == 200
    with pytest.raises(APIError):
        client.menus.get()
    assert control(server, "end_trouble") == 200
    assert client.menus.get() is None

    assert control(server, "expire_tokens", appid=APP_ID) == 200
    assert control(server, "allow", appid=APP_ID, addresses=["198.51.100.7"]) == 200
    with pytest.raises(APIError, match="40164"):
        client.menus.get()
    assert control(server, "allow", appid=APP_ID, addresses=None) == 200
    assert client.menus.get() is None


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("nothing", {}),
        ("expire_tokens", {"appid": "wxother"}),
        ("make_trouble", {"path": "*", "unknown": 1}),
        ("behave", {"latency": 3}),
    ],
)
def test_wrong_control_is_said_to_be_wrong(server, name, fields):
    assert control(server, name, **fields) == 400


def test_a_server_stops_though_an_answer_is_awaited(fake):
    fake.add_account(APP_ID, "secret")
    fake.latency = (1000, 1000)
    failures = []

    def wait(url):
        try:
            httpx.get(f"{url}/cgi-bin/tags/get", timeout=300)
        except httpx.HTTPError as error:
            failures.append(error)

    with FakeWeChatAPIServer(fake) as server:
        thread = threading.Thread(target=wait, args=(server.url,))
        thread.start()
        while not fake.calls:
            time.sleep(0.01)
    thread.join()
    [failure] = failures
    assert not isinstance(failure, httpx.TimeoutException)
