"""The front: what it takes, what it leaves to the pages, and whom it does not wait for.

test_callback.py has the pushes themselves, through both doors.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client, RequestFactory
from django.utils import timezone
from granian.rsgi import ProtocolClosed

from events.callback.callback_address import callback_path
from events.callback.front import CallbackFront
from events.callback.views import callback
from events.models import EventLog
from events.testing import (
    FrontClient,
    FrontProtocol,
    FrontScope,
    make_account,
    message_xml,
    run_front,
)
from events.wechat import SecurityMode
from events.wechat.sender import seal_push

pytestmark = pytest.mark.django_db


def call(method: str, path: str, *, protocol: Any = None, **environ: Any) -> tuple[int, str]:
    """The front's answer; the status is 0 where it handed the request on."""
    request = {**RequestFactory().generic(method, path).environ, **environ}
    protocol = protocol or FrontProtocol(request)

    async def pages(scope: Any, protocol: Any) -> None:
        protocol.response_str(0, [], "behind")

    run_front(lambda threads: CallbackFront(pages, threads), FrontScope(request), protocol)
    return protocol.status, protocol.body


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
def test_all_but_the_callbacks_get_and_post_goes_to_the_pages(method, path):
    assert call(method, path) == (0, "behind")


@pytest.mark.parametrize("client", [Client(), FrontClient()], ids=["view", "front"])
def test_other_methods_get_the_same_answer_through_both_doors(client):
    account = make_account()
    assert client.put(callback_path(account), b"x").status_code == 405
    assert client.head(callback_path(account)).status_code == 403


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


class Line(FrontProtocol):
    """A body that arrives in pieces, and ends, breaks off, or never ends."""

    def __init__(self, *pieces: bytes, end: str = "whole") -> None:
        super().__init__({})
        self.pieces = pieces
        self.end = end
        self.read = 0

    async def __call__(self) -> bytes:
        body = b"".join([piece async for piece in self])
        if self.end == "breaks off":
            raise ProtocolClosed
        return body

    async def __aiter__(self):
        for piece in self.pieces:
            self.read += len(piece)
            yield piece
        if self.end == "never":
            await asyncio.Event().wait()


@pytest.mark.parametrize("path", ["/wechat/no-such-key/", "{account}?signature=1"])
def test_of_a_stranger_no_body_is_read(path):
    account = make_account(mode="plaintext")
    line = Line(b"x", end="never")
    path, _, query = path.format(account=callback_path(account)).partition("?")
    assert call("POST", path, protocol=line, QUERY_STRING=query, CONTENT_LENGTH="1000") == (
        403,
        "forbidden",
    )
    assert line.read == 0


@pytest.mark.parametrize(("end", "status"), [("whole", 200), ("breaks off", 400), ("never", 408)])
def test_a_body_has_an_end_and_a_deadline(settings, end, status):
    settings.CALLBACK_SECONDS = 0.2
    account = make_account(mode="plaintext")
    query, body = signed(account, message_xml())
    line = Line(body[:10], body[10:], end=end)
    environ = {"QUERY_STRING": query, "CONTENT_LENGTH": str(len(body))}
    assert call("POST", callback_path(account), protocol=line, **environ)[0] == status
    assert EventLog.objects.count() == (status == 200)


def test_a_body_shorter_than_it_said_is_refused_by_both_doors(settings):
    account = make_account(mode="plaintext")
    query, body = signed(account, message_xml())
    environ: dict[str, Any] = {"QUERY_STRING": query, "CONTENT_LENGTH": str(len(body) + 1)}
    assert call("POST", callback_path(account), protocol=Line(body), **environ)[0] == 400
    request = RequestFactory().post(callback_path(account)).environ | environ
    request["wsgi.input"] = io.BytesIO(body)
    assert callback(WSGIRequest(request), account.callback_key).status_code == 400
    assert not EventLog.objects.exists()


@pytest.mark.parametrize("length", ["ten", "²", "9" * 5000])
def test_a_length_that_is_no_number_is_refused(length):
    account = make_account(mode="plaintext")
    query, body = signed(account, message_xml())
    environ = {"QUERY_STRING": query, "CONTENT_LENGTH": length}
    assert call("POST", callback_path(account), protocol=Line(body), **environ)[0] == 400


@pytest.mark.parametrize("length", ["ten", "9" * 5000])
def test_such_a_length_is_refused_by_the_other_door_too(length):
    account = make_account(mode="plaintext")
    query, body = signed(account, message_xml())
    request = RequestFactory().post(callback_path(account)).environ
    request |= {"QUERY_STRING": query, "CONTENT_LENGTH": length}
    request["wsgi.input"] = io.BytesIO(body)
    assert callback(WSGIRequest(request), account.callback_key).status_code == 400
    assert not EventLog.objects.exists()


def test_a_body_in_chunks_is_read_to_its_end():
    account = make_account(mode="plaintext")
    query, body = signed(account, message_xml())
    environ = {"QUERY_STRING": query, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    line = Line(body[:10], body[10:])
    assert call("POST", callback_path(account), protocol=line, **environ) == (200, "success")


def test_a_body_in_chunks_that_breaks_off_is_refused():
    account = make_account(mode="plaintext")
    query, body = signed(account, message_xml())
    environ = {"QUERY_STRING": query, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    line = Line(body[:10], body[10:-4])
    assert call("POST", callback_path(account), protocol=line, **environ)[0] == 400
    assert not EventLog.objects.exists()


def test_no_more_of_a_body_is_read_than_shows_that_it_is_too_large(settings):
    settings.CALLBACK_MAX_BODY = 100
    account = make_account(mode="plaintext")
    query, _ = signed(account, b"<xml/>")
    line = Line(*[b"x" * 60] * 9)
    environ = {"QUERY_STRING": query, "CONTENT_LENGTH": "540"}
    assert call("POST", callback_path(account), protocol=line, **environ)[0] == 413
    assert line.read == 0
    environ = {"QUERY_STRING": query, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    assert call("POST", callback_path(account), protocol=line, **environ)[0] == 413
    assert line.read == 120
