"""The door before Django: what it takes, and what it leaves to Django. test_callback.py has the
pushes themselves, through both doors."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client, RequestFactory
from django.utils import timezone

from events.callback.wsgi import CallbackFront
from events.models import EventLog
from events.testing import FrontClient, make_account, message_xml, push
from events.wechat import SecurityMode
from events.wechat.sender import seal_push

pytestmark = pytest.mark.django_db


class Stream(io.BytesIO):
    """A body that would block for ever if it were read further than it goes."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0
        return super().read(size)


def call(method: str, path: str, **environ: Any) -> tuple[str | None, bytes]:
    """Asks the front; the status is None where it handed the request on."""
    statuses: list[str] = []
    handed_on: list[bool] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        handed_on.append(True)
        return [b"behind"]

    front = CallbackFront(application, release=lambda: None)
    base = RequestFactory().generic(method, path).environ
    body = b"".join(front({**base, **environ}, lambda status, headers: statuses.append(status)))
    assert bool(statuses) is not bool(handed_on)
    return (statuses[0] if statuses else None), body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/wechat/"),
        ("POST", "/wechat"),
        ("POST", "/wechat/key/more/"),
        ("POST", "/admin/login/"),
        ("HEAD", "/wechat/key/"),
        ("PUT", "/wechat/key/"),
        ("DELETE", "/wechat/key"),
    ],
)
def test_all_but_the_callbacks_get_and_post_goes_to_django(method, path):
    assert call(method, path) == (None, b"behind")


@pytest.mark.parametrize("client", [Client(), FrontClient()], ids=["view", "front"])
def test_other_methods_get_the_same_answer_through_both_doors(client):
    account = make_account()
    assert client.put(account.callback_path, b"x").status_code == 405
    assert client.head(account.callback_path).status_code == 403


def test_a_key_nobody_has_is_refused_without_django():
    assert call("POST", "/wechat/no-such-key/") == ("403 Forbidden", b"forbidden")


def signed(account, body: bytes) -> tuple[str, bytes]:
    query, sealed = seal_push(
        body,
        credentials=account.credentials(timezone.now()),
        mode=SecurityMode(account.security_mode),
        timestamp=int(timezone.now().timestamp()),
        nonce="77",
        random=b"r" * 16,
    )
    return urlencode(query), sealed


@pytest.mark.parametrize("terminated", [True, False])
def test_the_body_is_read_as_far_as_it_goes(terminated):
    """A server may pass on a body that came in chunks, without a length, but with an end."""
    account = make_account(mode="plaintext")
    query, body = signed(account, message_xml())
    environ: dict[str, Any] = {"QUERY_STRING": query, "wsgi.input": Stream(body)}
    if terminated:
        environ |= {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    else:
        environ |= {"CONTENT_LENGTH": str(len(body))}
    assert call("POST", account.callback_path, **environ) == ("200 OK", b"success")
    assert EventLog.objects.count() == 1


def test_without_length_and_end_there_is_no_body():
    account = make_account(mode="plaintext")
    query, body = signed(account, message_xml())
    environ = {"QUERY_STRING": query, "wsgi.input": Stream(body), "CONTENT_LENGTH": ""}
    assert call("POST", account.callback_path, **environ)[0] == "200 OK"
    assert EventLog.objects.get().status == "unreadable"


def test_no_more_of_a_body_is_read_than_shows_that_it_is_too_large(settings):
    settings.CALLBACK_MAX_BODY = 100
    account = make_account(mode="plaintext")
    query, _ = signed(account, b"<xml/>")
    stream = Stream(b"x" * 10_000)
    environ = {"QUERY_STRING": query, "wsgi.input": stream, "CONTENT_LENGTH": "10000"}
    assert call("POST", account.callback_path, **environ)[0].startswith("413")
    assert stream.tell() == 101


def test_a_released_connection_is_released_after_each_answer():
    released: list[bool] = []
    front = CallbackFront(lambda environ, start: [b""], release=lambda: released.append(True))
    account = make_account(mode="plaintext")
    push(account, message_xml(), client=FrontClient())
    environ = RequestFactory().post("/wechat/none/").environ
    list(front(environ, lambda status, headers: None))
    assert released == [True]
    list(front(RequestFactory().get("/").environ, lambda status, headers: None))
    assert released == [True]
