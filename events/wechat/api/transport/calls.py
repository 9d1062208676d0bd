"""Calls with an access token. Rejected, it is replaced and the call made once more: no loop."""

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
        """What a GET to this API answers."""
        return self._call("GET", path, query or {}, None)

    def post(self, path: str, body: Mapping[str, Any], *, secret: str = "") -> Answer:
        """What a POST of this JSON answers; `secret`, a text in it, is kept out of error texts."""
        return self._call("POST", path, {}, body, secret)

    def upload(
        self, path: str, query: Mapping[str, str], name: str, file: tuple[str, bytes, str]
    ) -> Answer:
        """What a POST of a file answers: its name, content and type, in the form field `name`."""
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
        """The type and content of a file of `most` bytes; BadAnswer for a larger one."""
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
        return self._authorised(lambda token: self._with(token, method, path, query, body, secret))

    def _authorised(self, call: Callable[[AccessToken], _T]) -> _T:
        token = self._tokens.get()
        try:
            return call(token)
        except TokenRejected:
            fresh = self._tokens.refresh(token)
            if fresh.value == token.value:
                raise
        return call(fresh)

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
