"""Calls with an access token. Rejected, it is replaced and the call made once more: no loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import TokenRejected
from .tokens import AccessToken, TokenSource
from .wire import Answer, Wire

__all__ = ["Calls"]


class Calls:
    """One account's calls. Both methods raise `PlatformError` and its subclasses."""

    def __init__(self, wire: Wire, tokens: TokenSource) -> None:
        self._wire = wire
        self._tokens = tokens

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """What a GET to this API answers."""
        return self._call("GET", path, query or {}, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """What a POST of this JSON answers."""
        return self._call("POST", path, {}, body)

    def _call(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> Answer:
        token = self._tokens.get()
        try:
            return self._with(token, method, path, query, body)
        except TokenRejected:
            fresh = self._tokens.refresh(token)
            if fresh.value == token.value:
                raise
        return self._with(fresh, method, path, query, body)

    def _with(
        self,
        token: AccessToken,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
    ) -> Answer:
        return self._wire.call(
            method,
            path,
            query={"access_token": token.value, **query},
            body=body,
            secrets=(token.value,),
        )
