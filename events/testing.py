"""Helpers for tests: an account, and pushes signed and sealed as WeChat does it."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import urlencode

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone

from events.callback.wsgi import CallbackFront
from events.models import OfficialAccount
from events.wechat import SecurityMode
from events.wechat.sender import open_reply, seal_push
from events.wechat.xml import element, parse

__all__ = ["AES_KEY", "FrontClient", "make_account", "message_xml", "push", "reply_in"]

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
        answered: dict[str, Any] = {}

        def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            behind.append(self._django(environ))
            return []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            answered.update(status=int(status.split()[0]), headers=dict(headers))

        # The test owns the connection and may be in a transaction: do not give it back.
        front = CallbackFront(application, release=lambda: None)
        body = front(environ, start_response)
        if behind:
            return behind[0]
        response = HttpResponse(b"".join(body), **answered)
        response.wsgi_request = WSGIRequest(environ)  # type: ignore[attr-defined]
        return response


def make_account(slug: str = "shop", mode: str = "safe", **columns: Any) -> OfficialAccount:
    """An account with a token and an AES key, stored."""
    defaults = {
        "name": slug,
        "original_id": "gh_5f2c81d0a7be",
        "app_id": "wx3a9f0c27d81be645",
        "token": "Rk7mWechatTok2026",
        "encoding_aes_key": AES_KEY,
        "security_mode": mode,
    }
    return OfficialAccount.objects.create(slug=slug, **(defaults | columns))


def message_xml(
    kind: str = "event.subscribe",
    *,
    openid: str = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E",
    at: int | None = None,
    to: str = "gh_5f2c81d0a7be",
    **fields: str | int,
) -> bytes:
    """The plain XML of a message (``text``) or event (``event.SCAN``), at that Unix second."""
    msg_type, _, event = kind.partition(".")
    parts: dict[str, str | int] = {
        "ToUserName": to,
        "FromUserName": openid,
        "CreateTime": int(time.time()) if at is None else at,
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
    """Posts a message through the account's callback URL, signed and sealed; returns the response.

    `change` replaces query parameters; None removes one. Without a `client`, CSRF is enforced as on
    a real server.
    """
    query, sealed = seal_push(
        body,
        credentials=account.credentials(timezone.now()),
        mode=SecurityMode(mode or account.security_mode),
        timestamp=int(time.time()),
        nonce=str(secrets.randbelow(10**10)),
        random=secrets.token_bytes(16),
    )
    parameters: dict[str, str | None] = {**query, **(change or {})}
    kept = {name: value for name, value in parameters.items() if value is not None}
    return (client or Client(enforce_csrf_checks=True)).post(
        f"{account.callback_path}?{urlencode(kept)}", data=sealed, content_type="text/xml"
    )


def reply_in(response: Any, account: OfficialAccount) -> dict[str, Any]:
    """The fields of the passive reply in a response, decrypted where necessary."""
    fields = parse(response.content)
    if "Encrypt" not in fields:
        return dict(fields)
    credentials = account.credentials(timezone.now())
    return dict(parse(open_reply(response.content, credentials=credentials)))
