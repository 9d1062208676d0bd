"""When a token is fetched, kept, replaced, and no longer tried."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from events.simulator.fake_api import Fault
from events.wechat.api import (
    AccessToken,
    BadAnswer,
    CredentialsRejected,
    DailyQuotaReached,
    TokenRejected,
    fetch_stable_token,
)

from .conftest import CREDENTIALS

STABLE = "/cgi-bin/stable_token"
LISTING = "/cgi-bin/user/get"


def test_a_token_is_fetched_once_for_many_calls(client, fake):
    for _ in range(5):
        client.users.page()
    assert fake.calls == {STABLE: 1, LISTING: 5}


def test_threads_that_begin_together_fetch_one_token(client, fake):
    fake.latency = (0.05, 0.1)
    with ThreadPoolExecutor(8) as pool:
        assert all(page.total == 2 for page in pool.map(client.users.page, [""] * 16))
    assert fake.calls[STABLE] == 1


def test_a_token_is_replaced_before_its_end(client, fake, clock, tokens):
    first = tokens.get()
    assert first.expires_at == clock.at + 7200
    clock.at += 7200 - 241
    assert tokens.get() is first
    clock.at += 1
    second = tokens.get()
    assert second.value != first.value
    assert second.expires_at == clock.at + 7200
    assert fake.calls[STABLE] == 2


def test_another_process_has_the_same_token_and_what_is_left_of_it(wire, tokens, clock):
    first = tokens.get()
    clock.at += 6000
    other = fetch_stable_token(wire, CREDENTIALS, now=clock)
    assert other.value == first.value
    assert other.expires_at == first.expires_at


def test_a_short_life_is_used_by_half(clock):
    token = AccessToken("t", clock.at, clock.at + 300)
    assert token.refresh_at == clock.at + 150
    assert AccessToken("t", clock.at, clock.at + 412).refresh_at == clock.at + 206


@pytest.mark.parametrize("errcode", [40001, 40014, 42001])
def test_a_rejected_token_is_replaced_and_the_call_made_once_more(client, fake, account, errcode):
    client.users.page()
    account.expire_tokens(errcode)
    assert client.users.page().total == 2
    assert fake.calls == {STABLE: 2, LISTING: 3}


def test_a_second_rejection_is_the_end(client, fake, account):
    client.users.page()
    account.expire_tokens()
    fake.make_trouble(LISTING, Fault(errcode=42001, times=None))
    with pytest.raises(TokenRejected):
        client.users.page()
    assert fake.calls == {STABLE: 2, LISTING: 3}


def test_the_same_token_again_means_no_second_call(client, fake):
    client.users.page()
    fake.make_trouble(LISTING, Fault(errcode=40001, times=None))
    with pytest.raises(TokenRejected):
        client.users.page()
    assert fake.calls == {STABLE: 2, LISTING: 2}


def test_threads_whose_token_is_rejected_fetch_one_new_one(client, fake, account):
    client.users.page()
    account.expire_tokens()
    fake.latency = (0.02, 0.05)
    with ThreadPoolExecutor(8) as pool:
        assert all(page.total == 2 for page in pool.map(client.users.page, [""] * 8))
    assert fake.calls[STABLE] == 2


def test_a_wrong_secret_is_not_taken_for_a_rejected_token(client, fake):
    fake.make_trouble(STABLE, Fault(errcode=40001))
    with pytest.raises(CredentialsRejected) as caught:
        client.users.page()
    assert caught.value.errcode == 40001
    assert caught.value.rid
    assert fake.calls == {STABLE: 1}


@pytest.mark.parametrize(
    "body", [b"{}", b'{"access_token": "", "expires_in": 7200}', b'{"access_token": "t"}']
)
def test_an_answer_without_token(client, fake, body):
    fake.make_trouble(STABLE, Fault(body=body))
    with pytest.raises(BadAnswer):
        client.users.page()


# --- The fake's tokens live as WeChat documents it ---


def stable(wire, *, force=False):
    return wire.call(
        "POST",
        STABLE,
        body={
            "grant_type": "client_credential",
            "appid": CREDENTIALS.app_id,
            "secret": CREDENTIALS.app_secret,
            "force_refresh": force,
        },
    )


def plain(wire):
    return wire.call(
        "GET",
        "/cgi-bin/token",
        query={
            "grant_type": "client_credential",
            "appid": CREDENTIALS.app_id,
            "secret": CREDENTIALS.app_secret,
        },
    )


def verdict(wire, answer):
    try:
        wire.call("GET", LISTING, query={"access_token": answer["access_token"]})
    except TokenRejected as error:
        return error.errcode
    return 0


def test_a_stable_token_always_has_five_minutes_left(wire, account, clock):
    first = stable(wire)
    clock.at += 7200 - 301
    assert stable(wire) == {"access_token": first["access_token"], "expires_in": 301}
    clock.at += 1
    second = stable(wire)
    assert second["access_token"] != first["access_token"]
    assert second["expires_in"] == 7200
    assert (verdict(wire, first), verdict(wire, second)) == (0, 0)
    clock.at += 300
    assert (verdict(wire, first), verdict(wire, second)) == (42001, 0)


def test_a_forced_refresh_ends_the_former_at_once(wire, account, clock):
    first = stable(wire)
    second = stable(wire, force=True)
    assert (verdict(wire, first), verdict(wire, second)) == (40001, 0)
    assert stable(wire, force=True)["access_token"] == second["access_token"]
    clock.at += 30
    assert stable(wire, force=True)["access_token"] != second["access_token"]


def test_a_refresh_is_forced_twenty_times_a_day(wire, account, clock):
    for _ in range(20):
        stable(wire, force=True)
        clock.at += 31
    with pytest.raises(DailyQuotaReached):
        stable(wire, force=True)


def test_the_plain_token_is_a_line_of_its_own_where_each_call_ends_the_former(wire, account, clock):
    kept, first = stable(wire), plain(wire)
    second = plain(wire)
    assert verdict(wire, first) == 0
    clock.at += 300
    assert (verdict(wire, first), verdict(wire, second), verdict(wire, kept)) == (40001, 0, 0)


def test_tokens_that_were_never_issued(wire, account):
    assert verdict(wire, {"access_token": ""}) == 41001
    assert verdict(wire, {"access_token": "short"}) == 40014
    assert verdict(wire, {"access_token": "x" * 136}) == 40001
