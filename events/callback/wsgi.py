"""The quick door for pushes: a WSGI application that answers the callback before Django is asked.

Django's handler, middleware and routing cost more than everything a push needs. All other requests
go on to the application behind, which has the same door inside (events/callback/views.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http.client import responses
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import close_old_connections, connection
from django.urls import reverse
from django.utils import timezone

from events.callback.receive import Answer, answer_push, answer_verification

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["CallbackFront"]


def _release_connection() -> None:
    # Most threads have none: another one wrote for them.
    if connection.connection is not None:
        close_old_connections()


class CallbackFront:
    """Answers GET and POST of the callback URL; hands all else to `application`.

    `release` gives back the thread's database connection, or drops it when it is broken.
    """

    def __init__(
        self, application: WSGIApplication, *, release: Callable[[], None] = _release_connection
    ) -> None:
        self._application = application
        self._release = release
        self._prefix = reverse("events:callback", args=["-"]).removesuffix("-/")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        method = environ["REQUEST_METHOD"]
        if not path.startswith(self._prefix) or method not in {"GET", "POST"}:
            return self._application(environ, start_response)
        callback_key = path[len(self._prefix) :].removesuffix("/")
        if not callback_key or "/" in callback_key:
            return self._application(environ, start_response)
        try:
            answer = _answer(method, callback_key, environ)
        finally:
            self._release()
        body = answer.body.encode()
        start_response(
            f"{answer.status} {responses[answer.status]}",
            [
                ("Content-Type", f"{answer.content_type}; charset=utf-8"),
                ("Content-Length", str(len(body))),
                ("X-Content-Type-Options", "nosniff"),
            ],
        )
        return [body]


def _answer(method: str, callback_key: str, environ: WSGIEnvironment) -> Answer:
    query_string = environ.get("QUERY_STRING", "")
    now = timezone.now()
    if method == "GET":
        return answer_verification(callback_key, query_string, now=now)
    return answer_push(callback_key, query_string, _body(environ), now=now)


def _body(environ: WSGIEnvironment) -> bytes:
    """As much of the body as is needed to see that it is too large."""
    limit = settings.CALLBACK_MAX_BODY + 1
    if not environ.get("wsgi.input_terminated"):
        # Without a length there is no telling where the body ends.
        limit = min(limit, int(environ.get("CONTENT_LENGTH") or 0))
    body: bytes = environ["wsgi.input"].read(limit)
    return body
