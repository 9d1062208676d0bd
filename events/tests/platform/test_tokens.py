"""The shared token: when it is refreshed, by whom, and what is kept of failures."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import signal
import time
from random import Random

import httpx
import pytest
from django.db import connection, transaction
from django.utils import timezone

from events.models import OfficialAccount, SharedAccessToken
from events.platform import client as platform_client
from events.platform.tokens import AccountSwitchedOff, NoAppSecret, SharedTokens, TokenPaused
from events.simulator import Follower
from events.simulator.fake_api import FakeWeChatAPI, FakeWeChatAPIServer, Fault, ListedFollowers
from events.testing import make_account
from events.tests.platform.token_racer import ask, prepare, put
from events.wechat.api import (
    AddressNotAllowed,
    APIError,
    BadAnswer,
    CredentialsRejected,
    TokenRejected,
    Wire,
)
from wechat_site.tests.racing import PROCESSES

STABLE = "/cgi-bin/stable_token"
SECRET = "5d41402abc4b2a76b9719d911017c592"


class Clock:
    """A clock that stands until it is moved; in seconds for the fake, as a time for the store."""

    def __init__(self) -> None:
        self.at = timezone.now()

    def __call__(self) -> datetime.datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    def forward(self, seconds: float) -> None:
        self.at += datetime.timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def account(db):
    return make_account(app_secret=SECRET)


@pytest.fixture
def fake(clock, account):
    platform = FakeWeChatAPI(random=Random(1), now=clock.seconds)
    people = ListedFollowers([Follower("o1", is_following=True)])
    platform.add_account(account.app_id, SECRET, followers=people)
    return platform


@pytest.fixture
def server(fake):
    with FakeWeChatAPIServer(fake) as running:
        yield running


@pytest.fixture
def line(server):
    made = Wire(api_base=server.url, transport=httpx.HTTPTransport(verify=False))
    yield made
    made.close()


@pytest.fixture
def tokens(account, line, clock):
    return SharedTokens(account, line, now=clock)


def row() -> SharedAccessToken:
    return SharedAccessToken.objects.of(OfficialAccount.objects.get().pk)


# --- Keeping ---


def test_a_token_is_fetched_once_and_kept(tokens, account, line, clock, fake):
    first = tokens.get()
    assert SharedTokens(account, line, now=clock).get() == first
    assert fake.calls == {STABLE: 1}
    assert (row().app_id, row().lease_holder, row().lease_until) == (account.app_id, "", None)
    assert row().expires_at == clock() + datetime.timedelta(seconds=7200)


def test_the_token_is_encrypted_in_its_row(tokens):
    token = tokens.get()
    with connection.cursor() as cursor:
        cursor.execute("SELECT access_token FROM events_sharedaccesstoken")
        [stored] = cursor.fetchone()
    assert len(stored) > len(token.value)
    assert token.value not in stored
    assert row().access_token == token.value


def test_it_is_refreshed_ahead_of_its_end(tokens, clock, fake):
    first = tokens.get()
    clock.forward(7200 - 241)
    assert tokens.get() == first
    clock.forward(1)
    assert tokens.get().value != first.value
    assert fake.calls == {STABLE: 2}


def test_the_old_token_is_kept_while_the_platform_is_away(tokens, clock, fake):
    first = tokens.get()
    clock.forward(7200 - 200)
    fake.make_trouble(STABLE, Fault(status=500))
    assert tokens.get() == first
    assert (row().failure, row().failures) == ("bad_answer", 1)
    # During the pause the platform is left alone.
    assert tokens.get() == first
    assert fake.calls == {STABLE: 2}
    clock.forward(5)
    assert tokens.get().value != first.value
    assert (row().failure, row().failures, row().next_attempt_at) == ("", 0, None)


def test_the_old_token_serves_while_somebody_else_refreshes(tokens, account, clock, fake):
    first = tokens.get()
    clock.forward(7200 - 200)
    lease_until = clock() + datetime.timedelta(seconds=30)
    rows = SharedAccessToken.objects
    assert rows.claim(account.pk, "somebody", now=clock(), until=lease_until)
    assert not rows.claim(account.pk, "another", now=clock(), until=lease_until)
    assert tokens.get() == first
    assert fake.calls == {STABLE: 1}
    assert row().lease_holder == "somebody"


def test_a_lease_that_ran_out_is_taken_over(tokens, account, clock, fake):
    put(account, lease_holder="killed", lease_until=clock())
    assert tokens.get().value == row().access_token
    assert row().lease_holder == ""


def test_who_lost_the_lease_does_not_write(tokens, account, line, clock, fake, monkeypatch):
    """A refresher that slept through its lease finds another's token and takes that."""
    fetch = SharedTokens._fetch

    def sleep_while_another_refreshes(self):
        fresh = fetch(self)
        put(
            account,
            lease_holder="another",
            lease_until=clock() + datetime.timedelta(seconds=30),
            app_id=account.app_id,
            access_token="newer",
            refreshed_at=clock(),
            expires_at=clock() + datetime.timedelta(seconds=7200),
        )
        return fresh

    monkeypatch.setattr(SharedTokens, "_fetch", sleep_while_another_refreshes)
    assert tokens.get().value == "newer"
    assert (row().access_token, row().lease_holder) == ("newer", "another")


def test_a_token_of_another_app_id_is_not_used(tokens, account, fake):
    first = tokens.get()
    account.app_id = "wxother0000000000"
    account.save()
    fake.add_account("wxother0000000000", SECRET)
    assert tokens.get().value != first.value
    assert row().app_id == "wxother0000000000"


# --- Rejection ---


def test_a_rejected_token_is_replaced_once_for_all(tokens, account, line, clock, fake):
    first = tokens.get()
    clock.forward(60)
    fake.account(account.app_id).expire_tokens()
    second = tokens.refresh(first)
    assert second.value != first.value
    assert SharedTokens(account, line, now=clock).refresh(first) == second
    assert fake.calls == {STABLE: 2}


def test_a_token_rejected_soon_after_its_refresh_is_not_asked_for_again(tokens, clock, fake):
    first = tokens.get()
    assert tokens.refresh(first) == first
    clock.forward(29)
    assert tokens.refresh(first) == first
    assert fake.calls == {STABLE: 1}
    clock.forward(1)
    assert tokens.refresh(first).value == first.value
    assert fake.calls == {STABLE: 2}


def test_the_client_tries_once_more_and_never_loops(settings, account, fake, server, clock):
    settings.WECHAT_API_BASE = server.url
    client = platform_client.client_for(account)
    try:
        assert client.users.page().total
        put(account, refreshed_at=clock() - datetime.timedelta(minutes=5))
        fake.account(account.app_id).expire_tokens()
        assert client.users.page().total
        assert fake.calls == {STABLE: 2, "/cgi-bin/user/get": 3}
        fake.make_trouble("/cgi-bin/user/get", Fault(errcode=42001, times=None))
        for _ in range(10):
            with pytest.raises(TokenRejected):
                client.users.page()
        assert fake.calls == {STABLE: 2, "/cgi-bin/user/get": 13}
    finally:
        platform_client.close_wire()


# --- Failures ---


@pytest.mark.parametrize(
    ("errcode", "error", "label"),
    [
        (40013, CredentialsRejected, "credentials"),
        (40125, CredentialsRejected, "credentials"),
        (40164, AddressNotAllowed, "address"),
    ],
)
def test_a_refusal_is_kept_for_operators_and_not_hammered(
    tokens, account, clock, fake, errcode, error, label
):
    fake.account(account.app_id).refuses_tokens = errcode
    with pytest.raises(error) as caught:
        tokens.get()
    kept = row()
    assert (kept.failure, kept.failure_code, kept.failures) == (label, errcode, 1)
    assert kept.failure_rid == caught.value.rid != ""
    assert str(errcode) in kept.failure_message
    assert SECRET not in kept.failure_message
    assert ("127.0.0.1" in kept.failure_message) == (label == "address")
    for _ in range(5):
        with pytest.raises(TokenPaused) as paused:
            tokens.get()
    assert (paused.value.failure, paused.value.errcode) == (label, errcode)
    assert paused.value.until == clock() + datetime.timedelta(seconds=60)
    assert fake.calls == {STABLE: 1}


def test_pauses_grow(tokens, clock, fake):
    fake.make_trouble(STABLE, Fault(status=500, times=None))
    pauses = []
    for _ in range(8):
        with pytest.raises(BadAnswer):
            tokens.get()
        pauses.append((row().next_attempt_at - clock()).total_seconds())
        clock.at = row().next_attempt_at
    assert pauses == [5, 15, 60, 300, 900, 3600, 3600, 3600]
    fake.end_trouble()
    assert tokens.get()
    assert (row().failures, row().failure, row().failure_message) == (0, "", "")


def test_a_corrected_secret_is_tried_at_once(account, line, fake):
    tokens = SharedTokens(account, line)
    account.app_secret = "wrong"
    account.save()
    with pytest.raises(CredentialsRejected):
        tokens.get()
    with pytest.raises(TokenPaused):
        tokens.get()
    account.app_secret = SECRET
    account.save()
    assert tokens.get()


def test_an_account_without_secret_says_so(tokens, account, fake):
    account.app_secret = ""
    account.save()
    with pytest.raises(NoAppSecret, match=account.slug):
        tokens.get()
    assert row().failure == "no_app_secret"
    assert fake.calls == {}


def test_an_account_that_is_switched_off_gets_none(tokens, account, fake):
    assert tokens.get()
    account.is_active = False
    with pytest.raises(AccountSwitchedOff, match=account.slug):
        tokens.get()


def test_no_name_of_a_failure_is_too_long_for_its_column():
    def labels(cls):
        return {cls.label}.union(*map(labels, cls.__subclasses__()))

    longest = SharedAccessToken._meta.get_field("failure").max_length
    assert max(map(len, labels(APIError))) <= longest


def test_two_accounts_have_a_token_each(tokens, account, line, clock, fake):
    other = make_account("other", app_id="wxother0000000000", app_secret=SECRET)
    fake.add_account(other.app_id, SECRET)
    assert SharedTokens(other, line, now=clock).get().value != tokens.get().value


@pytest.mark.django_db(transaction=True)
def test_no_refresh_happens_inside_a_transaction(tokens, fake):
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        tokens.get()
    assert fake.calls == {}


# --- Real processes ---


@pytest.fixture
def shop():
    """The platform on the real clock; slow, so that all wait for one answer."""
    platform = FakeWeChatAPI(random=Random(1), latency=(1, 1.2))
    platform.add_account("wx3a9f0c27d81be645", "secret")
    with FakeWeChatAPIServer(platform) as running:
        yield running


def race(racers, database, server, *, lease=30.0, rejected=""):
    return racers.race(ask, [(database, server.url, lease, rejected)] * PROCESSES)


def kept_token(minutes_left: float) -> dict[str, object]:
    expires_at = timezone.now() + datetime.timedelta(minutes=minutes_left)
    return {
        "access_token": "x" * 136,
        "refreshed_at": expires_at - datetime.timedelta(hours=2),
        "expires_at": expires_at,
    }


@pytest.mark.slow
@pytest.mark.parametrize("minutes_left", [-1, 2])
def test_processes_that_hit_expiry_at_once_make_one_call(racers, race_database, shop, minutes_left):
    racers.call(prepare, race_database, kept_token(minutes_left))
    answers = race(racers, race_database, shop)
    assert {error for _, error in answers} == {""}
    assert shop.api.calls == {STABLE: 1}
    values = {value for value, _ in answers}
    if minutes_left < 0:
        assert len(values) == 1
        assert "x" * 136 not in values
    else:
        # The old one still works: only who refreshes waits.
        assert "x" * 136 in values
        assert len(values) == 2


@pytest.mark.slow
def test_processes_whose_token_is_rejected_at_once_make_one_call(racers, race_database, shop):
    racers.call(prepare, race_database, kept_token(60))
    answers = race(racers, race_database, shop, rejected="x" * 136)
    assert {error for _, error in answers} == {""}
    assert len({value for value, _ in answers}) == 1
    assert shop.api.calls == {STABLE: 1}


@pytest.mark.slow
def test_processes_that_fail_at_once_make_one_call(racers, race_database, shop):
    racers.call(prepare, race_database, {})
    shop.api.account("wx3a9f0c27d81be645").refuses_tokens = 40164
    errors = sorted(error for _, error in race(racers, race_database, shop))
    assert errors == ["AddressNotAllowed"] + ["TokenPaused"] * (PROCESSES - 1)
    assert shop.api.calls == {STABLE: 1}


@pytest.mark.slow
def test_a_refresher_that_is_killed_loses_nothing(racers, race_database, shop):
    racers.call(prepare, race_database, {})
    shop.api.make_trouble(STABLE, Fault(delay=60))
    victim = multiprocessing.get_context("spawn").Process(
        target=ask, args=(race_database, shop.url, 2.0)
    )
    victim.start()
    while not shop.api.calls:
        assert victim.is_alive()
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    answers = race(racers, race_database, shop, lease=2.0)
    assert {error for _, error in answers} == {""}
    assert len({value for value, _ in answers}) == 1
    assert shop.api.calls == {STABLE: 2}
