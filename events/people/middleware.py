"""Middleware for the user and the API key of a request."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from events.models import ApiKey
from events.viewer import seen_through, viewed_by

__all__ = ["KeyWarningMiddleware", "ViewerMiddleware"]


class ViewerMiddleware:
    """Makes the user of each request its viewer, for streamed answers too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with viewed_by(request):
            response: Any = self.get_response(request)
        if response.streaming:
            response.streaming_content = seen_through(request, response.streaming_content)
        return response  # type: ignore[no-any-return]


class KeyWarningMiddleware:
    """Tells API clients in a header when their key expires, during the key's last weeks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        key = getattr(request, "auth", None)
        if isinstance(key, ApiKey) and key.ends_soon and key.expires_at:
            ends = key.expires_at.astimezone(datetime.UTC)
            response.headers["API-Key-Expires"] = f"{ends:%Y-%m-%dT%H:%M:%SZ}"
        return response
