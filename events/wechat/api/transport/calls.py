"""Makes calls with an access token; after a rejected token, one more call with a new token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .api_errors import TokenRejected
from .http import Answer, Wire
from .token_source import AccessToken, TokenSource

__all__ = ["Calls"]

_T = TypeVar("_T")


class Calls:
    """One account's calls. All methods raise `APIError` and its subclasses."""

    def __init__(self, wire: Wire, tokens: TokenSource) -> None:
        self._wire = wire
        self._tokens = tokens

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """Returns the answer to a GET of this path."""
        return self._call("GET", path, query or {}, None)

    def post(self, path: str, body: Mapping[str, Any], *, secret: str = "") -> Answer:
        """Returns the answer to a POST of this JSON; error texts hide `secret`, a text in it."""
        return self._call("POST", path, {}, body, secret)

    def upload(
        self, path: str, query: Mapping[str, str], name: str, file: tuple[str, bytes, str]
    ) -> Answer:
        """Posts a file (name, content, type) in the form field `name`; returns the answer."""
        return self._authorised(
            lambda token: self._wire.call(
                "POST",
                path,
                query={"access_token": token.value, **query},
                file=(name, *file),
                secrets=(token.value,),
            )
        )

    def download(self, path: str, query: Mapping[str, str], *, most: int) -> tuple[str, bytes]:
        """Returns type and content of a file; raises BadAnswer for more than `most` bytes."""
        return self._authorised(
            lambda token: self._wire.file(
                path, {"access_token": token.value, **query}, most=most, secrets=(token.value,)
            )
        )

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        secret: str = "",
    ) -> Answer:
        return self._authorised(
            lambda token: self._call_with(token, method, path, query, body, secret)
        )

    def _authorised(self, call: Callable[[AccessToken], _T]) -> _T:
        token = self._tokens.get()
        try:
            return call(token)
        except TokenRejected:
            fresh = self._tokens.refresh(token)
            if fresh.value == token.value:
                raise
        return call(fresh)

    def _call_with(
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
