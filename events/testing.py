"""Helpers for tests: an account, a rule, a source of access tokens, and pushes as WeChat's."""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone

from events.answering.publish_rules import publish
from events.callback.callback_address import callback_path
from events.callback.front import CallbackFront, Threads
from events.models import OfficialAccount, ReplyRule
from events.wechat import SecurityMode
from events.wechat.api import AccessToken, AppCredentials, Wire, fetch_stable_token
from events.wechat.sender import open_reply, seal_push
from events.wechat.xml import element, parse

__all__ = [
    "AES_KEY", "FrontClient", "FrontProtocol", "FrontScope", "MemoryTokens", "make_account",
    "make_rule", "message_xml", "push", "reply_in", "run_front",
]  # fmt: skip

AES_KEY = "mQ3vT8yB1nXc5KzL0pRs7UeWdG2hJ4aF6iOqYtNbVxD"


class FrontClient(Client):
    """A test client whose requests go through `CallbackFront` first, as on a running site."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.handler = _FrontHandler(self.handler)  # type: ignore[assignment]


class _FrontHandler:
    def __init__(self, django: Any) -> None:
        self._django = django

    def __call__(self, environ: dict[str, Any]) -> HttpResponseBase:
        behind: list[HttpResponseBase] = []
        protocol = FrontProtocol(environ)

        def front(threads: Threads) -> CallbackFront:
            async def pages(scope: Any, protocol: Any) -> None:
                threads.ask(lambda: behind.append(self._django(environ)))

            return CallbackFront(pages, threads)

        run_front(front, FrontScope(environ), protocol)
        if behind:
            return behind[0]
        response = HttpResponse(protocol.body, status=protocol.status, headers=protocol.headers)
        response.wsgi_request = WSGIRequest(environ)  # type: ignore[attr-defined]
        return response


def run_front(front: Callable[[Threads], CallbackFront], scope: Any, protocol: Any) -> None:
    """Runs one request on a loop in another thread, but its database work in this thread.

    So the work takes part in the test's transaction.
    """
    here: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
    errors: list[BaseException] = []

    class Here:
        write = ask = here.put

        def release(self) -> None:
            """Keeps the connection, because the test may have a transaction open on it."""

    async def ask() -> None:
        await front(Here())(scope, protocol)

    def run() -> None:
        try:
            asyncio.run(ask())
        except BaseException as error:
            errors.append(error)
        finally:
            here.put(None)

    thread = threading.Thread(target=run)
    thread.start()
    while (function := here.get()) is not None:
        function()
    thread.join()
    if errors:
        raise errors[0]


class FrontScope:
    """A request as granian describes it."""

    http_version = "1.1"

    def __init__(self, environ: dict[str, Any]) -> None:
        self.method = environ["REQUEST_METHOD"]
        self.path = environ["PATH_INFO"]
        self.query_string = environ.get("QUERY_STRING", "")
        headers = {
            "content-length": environ.get("CONTENT_LENGTH"),
            "transfer-encoding": environ.get("HTTP_TRANSFER_ENCODING"),
        }
        self.headers = {name: str(text) for name, text in headers.items() if text}


class FrontProtocol:
    """The body of a request, and its answer."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._input = environ.get("wsgi.input")
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = ""

    async def __call__(self) -> bytes:
        return bytes(self._input.read()) if self._input else b""

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    def response_str(self, status: int, headers: list[tuple[str, str]], body: str) -> None:
        self.status, self.headers, self.body = status, dict(headers), body


class MemoryTokens:
    """A token source in memory, for one account."""

    def __init__(
        self,
        wire: Wire,
        credentials: AppCredentials,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._wire = wire
        self._credentials = credentials
        self._now = now
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def get(self) -> AccessToken:
        with self._lock:
            if self._token is None or self._now() >= self._token.refresh_at:
                self._token = self._fetch()
            return self._token

    def refresh(self, rejected: AccessToken) -> AccessToken:
        with self._lock:
            if self._token is None or self._token.value == rejected.value:
                self._token = self._fetch()
            return self._token

    def _fetch(self) -> AccessToken:
        return fetch_stable_token(self._wire, self._credentials, now=self._now)


def make_account(slug: str = "shop", mode: str = "safe", **columns: Any) -> OfficialAccount:
    """Stores an account with a token and an AES key."""
    defaults = {
        "name": slug,
        "original_id": "gh_5f2c81d0a7be",
        "app_id": "wx3a9f0c27d81be645",
        "token": "Rk7mWechatTok2026",
        "encoding_aes_key": AES_KEY,
        "security_mode": mode,
    }
    return OfficialAccount.objects.create(slug=slug, **(defaults | columns))


def make_rule(
    account: OfficialAccount,
    kind: str = "text",
    key: str = "",
    content: str = "hi",
    *,
    is_active: bool = True,
) -> ReplyRule:
    """A published rule that answers this kind of event with a text.

    `key` is the menu key, the scene or the exact text. Without a key the rule answers the events
    that no earlier rule answers.
    """
    triggers: dict[str, dict[str, Any]] = {
        "event.subscribe": {"on": "follow"},
        "event.scan": {"on": "scan"},
        "event.click": {"on": "menu"},
        "text": {"on": "message", "kind": "text", "how": "exact", "words": [key]},
    }
    trigger = triggers[kind]
    if kind == "text" and not key:
        trigger = {"on": "other", "kind": "text"}
    elif kind != "text" and key:
        trigger = trigger | {"keys": [key]}
    rule = ReplyRule.objects.create(
        account=account,
        position=account.reply_rules.count() + (0 if key else 1000),
        name=key or content[:100],
        trigger=trigger,
        answers=[{"kind": "text", "content": content}],
        is_active=is_active,
    )
    publish(account.pk, user=None)
    return rule


def message_xml(
    kind: str = "event.subscribe",
    *,
    openid: str = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E",
    at: int | None = None,
    to: str = "gh_5f2c81d0a7be",
    **fields: str | int,
) -> bytes:
    """Makes the plain XML of a message (``text``) or event (``event.SCAN``) at a Unix second."""
    msg_type, _, event = kind.partition(".")
    parts: dict[str, str | int] = {
        "ToUserName": to,
        "FromUserName": openid,
        "CreateTime": int(timezone.now().timestamp()) if at is None else at,
        "MsgType": msg_type,
    }
    if event:
        parts["Event"] = event
    return element("xml", parts | fields).encode()


def push(
    account: OfficialAccount,
    body: bytes,
    *,
    client: Client | None = None,
    mode: str | None = None,
    change: dict[str, str | None] | None = None,
) -> Any:
    """Posts a message, signed and encrypted, to the account's callback URL; returns the response.

    `change` replaces query parameters; None removes one. Without a `client`, CSRF is enforced as on
    a real server.
    """
    query, sealed = seal_push(
        body,
        credentials=account.credentials(timezone.now()),
        mode=SecurityMode(mode or account.security_mode),
        timestamp=int(timezone.now().timestamp()),
        nonce=str(secrets.randbelow(10**10)),
        random=secrets.token_bytes(16),
    )
    parameters: dict[str, str | None] = {**query, **(change or {})}
    kept = {name: value for name, value in parameters.items() if value is not None}
    return (client or Client(enforce_csrf_checks=True)).post(
        f"{callback_path(account)}?{urlencode(kept)}", data=sealed, content_type="text/xml"
    )


def reply_in(response: Any, account: OfficialAccount) -> dict[str, Any]:
    """Reads the fields of the passive reply in a response, decrypted if necessary."""
    fields = parse(response.content)
    if "Encrypt" not in fields:
        return dict(fields)
    credentials = account.credentials(timezone.now())
    return dict(parse(open_reply(response.content, credentials=credentials)))
