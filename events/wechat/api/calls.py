"""Calls with an access token. Rejected, it is replaced and the call made once more: no loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import TokenRejected
from .http import Answer, Wire
from .tokens import AccessToken, TokenSource

__all__ = ["Calls"]


class Calls:
    """One account's calls. Both methods raise `APIError` and its subclasses."""

    def __init__(self, wire: Wire, tokens: TokenSource) -> None:
        self._wire = wire
        self._tokens = tokens

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """What a GET to this API answers."""
        return self._call("GET", path, query or {}, None)

    def post(self, path: str, body: Mapping[str, Any], *, secret: str = "") -> Answer:
        """What a POST of this JSON answers; `secret`, a text in it, is kept out of error texts."""
        return self._call("POST", path, {}, body, secret)

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        secret: str = "",
    ) -> Answer:
        token = self._tokens.get()
        try:
            return self._with(token, method, path, query, body, secret)
        except TokenRejected:
            fresh = self._tokens.refresh(token)
            if fresh.value == token.value:
                raise
        return self._with(fresh, method, path, query, body, secret)

    def _with(
        self,
        token: AccessToken,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        secret: str,
    ) -> Answer:
        return self._wire.call(
            method,
            path,
            query={"access_token": token.value, **query},
            body=body,
            secrets=(token.value, secret),
        )
