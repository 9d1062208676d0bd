from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from wechat_site.serving.pages import Pages

pytestmark = pytest.mark.any_database


class Protocol:
    def response_bytes(self, status, headers, body):
        """Nobody reads it."""


def test_a_header_with_an_underscore_does_not_pass_for_that_of_a_proxy():
    seen = {}

    def application(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [])
        return [b""]

    scope = SimpleNamespace(
        method="GET", path="/", query_string="", http_version="1.1", scheme="http",
        client="192.0.2.1:5", server="127.0.0.1:80", authority="",
        headers={"x_forwarded_proto": "https", "x-real-ip": "203.0.113.9", "content_length": "5"},
    )  # fmt: skip
    pages = Pages(
        application, threads=1, anonymous_body=10, largest_body=20, session_cookie="session"
    )
    asyncio.run(pages(scope, Protocol()))
    assert seen["HTTP_X_REAL_IP"] == "203.0.113.9"
    assert "HTTP_X_FORWARDED_PROTO" not in seen
    assert "CONTENT_LENGTH" not in seen
