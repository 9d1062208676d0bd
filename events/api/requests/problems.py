"""Makes the API's refusals: problem details by RFC 9457, in the reader's language.

Every refusal under `/api/` has this form, whether it comes from a view
(events/api/requests/exceptions.py), from Django for an unknown address, or from the server before
Django. `code` is for programs and never changes; `title` and `detail` are for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["CODES", "CONTENT_TYPE", "TITLES", "problem_content", "problem_response"]

CONTENT_TYPE = "application/problem+json"

TITLES: dict[int, StrOrPromise] = {
    400: _("Bad request"),
    401: _("No valid key"),
    403: _("Not allowed"),
    404: _("Not found"),
    405: _("Method not allowed"),
    406: _("Not acceptable"),
    408: _("Request timeout"),
    409: _("Conflict"),
    410: _("Gone"),
    411: _("Length required"),
    413: _("Body too large"),
    415: _("Unsupported content type"),
    422: _("Not processable"),
    429: _("Too many requests"),
    500: _("Fault of this site"),
    503: _("Not available now"),
}

# The default code and sentence of an answer.
CODES: dict[int, tuple[str, StrOrPromise]] = {
    400: ("bad_request", _("This request cannot be understood.")),
    401: ("not_authenticated", _("Send a key in the header Authorization.")),
    403: ("permission_denied", _("This key may not do that.")),
    404: ("not_found", _("There is nothing at this address.")),
    405: ("method_not_allowed", _("This address does not take that method.")),
    406: ("not_acceptable", _("There is no answer of the kind that the header Accept names.")),
    408: ("timeout", _("The body took too long to arrive.")),
    409: ("conflict", _("Another request is at this now.")),
    410: ("gone", _("What was here is gone.")),
    411: ("length_required", _("Say in Content-Length how long the body is.")),
    413: ("body_too_large", _("The body is too large.")),
    415: ("unsupported_media_type", _("Send the body as application/json.")),
    422: ("not_processable", _("This request cannot be carried out.")),
    429: ("throttled", _("There were too many requests. Come again later.")),
    500: ("server_error", _("This site failed to answer. Its log says why.")),
    503: ("not_available", _("This site cannot answer now. Come again later.")),
}


def problem_content(
    status: int,
    code: str = "",
    detail: StrOrPromise = "",
    errors: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
) -> bytes:
    """Makes the body in the current language; `errors` has `code` and `detail` by field."""
    usual = CODES.get(status) or CODES[500 if status >= 500 else 400]
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": str(TITLES.get(status) or TITLES[500 if status >= 500 else 400]),
        "status": status,
        "code": code or usual[0],
        "detail": str(detail or usual[1]),
    }
    if errors:
        body["errors"] = errors
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def problem_response(
    status: int,
    code: str = "",
    detail: StrOrPromise = "",
    errors: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Makes the whole answer; see problem_content()."""
    response = HttpResponse(
        problem_content(status, code, detail, errors),
        status=status,
        content_type=CONTENT_TYPE,
        headers=dict(headers or {}),
    )
    response["Content-Language"] = translation.get_language() or ""
    return response
