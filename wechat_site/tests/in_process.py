from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.test.client import ClientHandler

__all__ = ["in_process"]

_handler = ClientHandler(enforce_csrf_checks=True)


def in_process(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The site as a WSGI application within a test, for clients that bring their own requests.

    It keeps the connection to the database open, which holds the test's transaction.
    """
    # Nobody here unpacks an answer.
    environ.pop("HTTP_ACCEPT_ENCODING", None)
    response: Any = _handler(environ)
    content = b"".join(response)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [content]
