"""Each class of errors, and that none of them gives a secret away."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading
import time
import traceback

import httpx
import pytest

from events.simulator.fake_api import Fault
from events.testing import MemoryTokens
from events.wechat.api import (
    AddressNotAllowed,
    APIError,
    AppCredentials,
    BadAnswer,
    Client,
    CredentialsRejected,
    DailyQuotaReached,
    NotPermitted,
    RateLimitReached,
    RecipientRejected,
    Refused,
    RequestRejected,
    SystemBusy,
    Timeouts,
    TokenRejected,
    Unreachable,
    Wire,
)
from events.wechat.api.transport import api_errors
from events.wechat.api.transport.api_errors import refusal

from .conftest import ANNA, APP_ID, APP_SECRET, CREDENTIALS

LISTING = "/cgi-bin/user/get"


@pytest.mark.parametrize(
    ("errcode", "expected", "is_temporary"),
    [
        (-1, SystemBusy, True),
        *((code, TokenRejected, False) for code in (40001, 40014, 41001, 42001, 42007)),
        (45009, DailyQuotaReached, True),
        (45011, RateLimitReached, True),
        (40164, AddressNotAllowed, False),
        (61004, AddressNotAllowed, False),
        *(
            (code, CredentialsRejected, False)
            for code in (40013, 40125, 41002, 41004, 40002, 40243, 50004, 50007, 89503, 89507)
        ),
        *((code, NotPermitted, False) for code in (48001, 48002, 48004, 48006, 50002, 40200)),
        *((code, RecipientRejected, False) for code in (40003, 43004, 43101, 45015, 45047)),
        *(
            (code, RequestRejected, False)
            for code in (
                47001,
                47003,
                40033,
                40035,
                44002,
                41030,
                40037,
                45002,
                45008,
                40018,
                46003,
            )
        ),
        (99999, Refused, False),
    ],
)
def test_each_code_raises_the_error_of_its_class(client, fake, errcode, expected, is_temporary):
    fake.make_trouble(LISTING, Fault(errcode=errcode, times=None))
    with pytest.raises(Refused) as caught:
        client.users.page(ANNA)
    error = caught.value
    assert type(error) is expected
    assert (error.errcode, error.path, error.is_temporary) == (errcode, LISTING, is_temporary)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{8}){2}", error.rid)
    assert error.rid in str(error)
    assert "rid" not in error.errmsg


def test_no_code_belongs_to_two_classes():
    classes = [value for value in vars(api_errors).values() if isinstance(value, type)]
    refusals = [cls for cls in classes if issubclass(cls, Refused)]
    codes = [code for cls in refusals for code in cls.codes]
    assert len(codes) == len(set(codes))
    labels = [cls.label for cls in classes if issubclass(cls, APIError)]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize(
    ("errmsg", "text", "rid"),
    [
        ("invalid openid rid: 1f-2a-3b", "invalid openid", "1f-2a-3b"),
        ("invalid openid, rid: 1F-2a-3b", "invalid openid", "1F-2a-3b"),
        ("invalid openid hint: [aX0]", "invalid openid hint: [aX0]", ""),
        ("", "", ""),
    ],
)
def test_the_rid_is_told_apart_from_the_text(errmsg, text, rid):
    error = refusal("/x", 40003, errmsg)
    assert (error.errmsg, error.rid) == (text, rid)


@pytest.mark.parametrize(
    ("errmsg", "address"),
    [
        (
            "invalid ip 198.51.100.7 ipv6 ::ffff:198.51.100.7, not in whitelist rid: 1",
            "198.51.100.7",
        ),
        ("invalid ip ::ffff:198.51.100.7, not in whitelist", "198.51.100.7"),
        ("invalid ip 2001:db8::7, not in whitelist", "2001:db8::7"),
        ("not in whitelist", ""),
        ("access clientip is not registered, requestIP: 198.51.100.7", "198.51.100.7"),
    ],
)
def test_the_operator_is_told_our_address(errmsg, address):
    error = refusal("/x", 40164, errmsg)
    assert isinstance(error, AddressNotAllowed)
    assert error.address == address


def test_an_address_that_is_not_on_the_list(client, account):
    account.allowed_addresses = frozenset({"198.51.100.7"})
    with pytest.raises(AddressNotAllowed) as caught:
        client.users.page(ANNA)
    assert caught.value.address == "127.0.0.1"


@contextlib.contextmanager
def patience_with(wire: Wire, fault: Fault):
    """Little with an answer that is meant to be late; much with others, and with the next call."""
    former = wire._http.timeout
    if fault.delay:
        wire._http.timeout = httpx.Timeout(60, read=0.3)
    try:
        yield
    finally:
        wire._http.timeout = former


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=500), BadAnswer),
        (Fault(status=502), BadAnswer),
        (Fault(status=301), BadAnswer),
        (Fault(body=b"<html>busy</html>"), BadAnswer),
        (Fault(body=b"[]"), BadAnswer),
        (Fault(body=b""), BadAnswer),
        (Fault(body=b'{"errcode": "many"}'), BadAnswer),
        (Fault(reset=True), Unreachable),
        (Fault(delay=5), Unreachable),
    ],
)
def test_no_usable_answer(client, wire, fake, fault, expected):
    client.users.page()  # has fetched the token
    fake.make_trouble(LISTING, fault)
    with pytest.raises(expected) as caught, patience_with(wire, fault):
        client.users.page(ANNA)
    assert caught.value.is_temporary
    if isinstance(caught.value, Unreachable):
        assert caught.value.may_have_arrived
    # The connection is not spoilt for the next.
    assert client.users.page().total == 2


def test_control_characters_and_broken_utf8_do_not_spoil_an_answer(client, fake):
    body = b'{"tags": [{"id": 100, "name": "a\tb\x01\xff"}]}'
    fake.make_trouble("/cgi-bin/tags/get", Fault(body=body))
    [tag] = client.tags.all()
    assert tag.name == "a\tb\x01�"


def test_nobody_listens():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        wire = Wire(api_base=f"http://127.0.0.1:{reserved.getsockname()[1]}")
        with pytest.raises(Unreachable) as caught:
            wire.call("GET", "/x")
        assert not caught.value.may_have_arrived
        wire.close()


def test_an_answer_that_drips_ends_with_the_time_for_the_whole_call():
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.05)

    thread = threading.Thread(target=drip)
    thread.start()
    wire = Wire(
        api_base=f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts=Timeouts(60, 60, 0.4)
    )
    with pytest.raises(Unreachable, match="too long"):
        wire.call("GET", "/x")
    wire.close()
    thread.join()
    listener.close()


def test_an_endless_answer_is_not_read_to_its_end():
    def respond(request):
        return httpx.Response(200, content=(b" " * 1_000_000 for _ in range(10**6)))

    wire = Wire(transport=httpx.MockTransport(respond))
    with pytest.raises(BadAnswer, match="more than"):
        wire.call("GET", "/x")
    wire.close()


def test_a_redirect_is_not_followed_since_the_token_would_go_along(client, fake):
    fake.make_trouble(LISTING, Fault(status=302))
    with pytest.raises(BadAnswer, match="302"):
        client.users.page(ANNA)


# --- Secrets ---


def everything_about(error: BaseException) -> str:
    """What a log or an error report shows of an error and of what caused it."""
    shown = ["".join(traceback.format_exception(error))]
    current: BaseException | None = error
    while current is not None:
        shown += [repr(current), str(current), repr(vars(current))]
        request = getattr(current, "_request", None)
        if request is not None:
            shown += [repr(request), str(request.url), repr(request.headers)]
        current = current.__cause__ or current.__context__
    return "\n".join(shown)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(errcode=40001, times=None),
        Fault(errcode=45009),
        Fault(errcode=99999),
        Fault(status=500),
        Fault(body=b"nonsense"),
        Fault(reset=True),
        Fault(delay=5),
    ],
)
def test_neither_logs_nor_errors_show_a_secret(client, wire, fake, tokens, caplog, fault):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "httpx")
    token = tokens.get().value
    fake.make_trouble(LISTING, fault)
    with pytest.raises(APIError) as caught, patience_with(wire, fault):
        client.users.page(ANNA)
    code = client.qr_codes.create_temporary("bind-7F3K", expire_seconds=60)
    text = caplog.text + everything_about(caught.value)
    assert LISTING in text
    assert any(record.name == "httpx" for record in caplog.records)
    for secret in (token, APP_SECRET, ANNA, code.ticket, "access_token="):
        assert secret not in text


@pytest.mark.parametrize(
    "fault", [Fault(errcode=40125), Fault(status=500), Fault(reset=True), Fault(delay=5)]
)
def test_asking_for_a_token_does_not_show_the_secret(client, wire, fake, caplog, fault):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "httpx")
    fake.make_trouble("/cgi-bin/stable_token", fault)
    with pytest.raises(APIError) as caught, patience_with(wire, fault):
        client.users.page(ANNA)
    assert APP_SECRET not in caplog.text + everything_about(caught.value)


def test_a_secret_that_the_platform_repeats_is_taken_out(client, fake, tokens, caplog):
    token = tokens.get().value
    fake.make_trouble(LISTING, Fault(errcode=40035, errmsg=f"bad access_token={token} rid: 1"))
    with pytest.raises(RequestRejected) as caught:
        client.users.page(ANNA)
    assert token not in caplog.text + everything_about(caught.value)
    fake.make_trouble("/cgi-bin/stable_token", Fault(errcode=40125, errmsg=f"bad {APP_SECRET}"))
    with pytest.raises(CredentialsRejected) as refused:
        tokens.refresh(tokens.get())
    assert APP_SECRET not in caplog.text + everything_about(refused.value)


def test_no_repr_shows_a_secret(client, tokens, wire):
    token = tokens.get()
    code = client.qr_codes.create_permanent("s")
    shown = repr([CREDENTIALS, token, tokens, client, wire, code])
    assert APP_ID in shown
    for secret in (APP_SECRET, token.value, code.ticket, code.url):
        assert secret not in shown


# --- Limits of the account ---


def test_the_daily_quota_ends_at_midnight_in_beijing(client, account, clock):
    client.users.page(ANNA)
    account.exhaust_quota(LISTING)
    with pytest.raises(DailyQuotaReached):
        client.users.page(ANNA)
    assert client.tags.all()
    clock.at += 24 * 3600 - (clock.at + 8 * 3600) % (24 * 3600)
    assert client.users.page().total == 2


def test_the_rate_of_a_minute(client, account, clock):
    account.quotas.per_minute[LISTING] = 2
    client.users.page(ANNA)
    client.users.page(ANNA)
    with pytest.raises(RateLimitReached):
        client.users.page(ANNA)
    clock.at += 60
    assert client.users.page().total == 2


def test_an_uncertified_account_has_a_menu_but_no_followers(client, account):
    account.is_certified = False
    assert client.menus.get() is None
    with pytest.raises(NotPermitted) as caught:
        client.users.page(ANNA)
    assert caught.value.errcode == 48001


def test_wrong_credentials_are_told_apart(wire, account):
    for credentials, errcode in [
        (AppCredentials("wxother", APP_SECRET), 40013),
        (AppCredentials(APP_ID, "wrong"), 40125),
        (AppCredentials("", APP_SECRET), 41002),
        (AppCredentials(APP_ID, ""), 41004),
    ]:
        with pytest.raises(CredentialsRejected) as caught:
            Client(wire, MemoryTokens(wire, credentials)).users.page()
        assert caught.value.errcode == errcode
