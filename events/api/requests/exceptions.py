"""Converts exceptions of the API's views into problem details."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from events.api.requests.problems import problem_response

__all__ = ["answer_to"]

_Errors = dict[str, list[dict[str, str]]]

_USUAL = (
    exceptions.NotAcceptable,
    exceptions.NotAuthenticated,
    exceptions.NotFound,
    exceptions.PermissionDenied,
)
_OUR_CODES = {"not_a_dict": "not_an_object"}
# The most fields in `detail`, which is for people; `errors` has all fields.
_MOST_IN_DETAIL = 3


def answer_to(error: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """Returns the answer to an exception of a view; None for a fault of this site.

    REST_FRAMEWORK's EXCEPTION_HANDLER.
    """
    if isinstance(error, Http404):
        # Django's sentence would show the name of a Python class.
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, RequestDataTooBig):
        set_rollback()
        return problem_response(413)
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(max(1, round(wait)))
    if isinstance(error, ValidationError):
        return _answer_to_invalid(error)
    # Replace DRF's default sentences, because ours say more.
    is_usual = isinstance(error, _USUAL) and str(error.detail) == str(error.default_detail)
    sentence = "" if is_usual else str(error.detail)
    return problem_response(error.status_code, str(error.get_codes()), sentence, headers=headers)


def _answer_to_invalid(error: ValidationError) -> HttpResponse:
    errors: _Errors = {}
    general: list[ErrorDetail] = []
    for field, found in _flat(error.detail, ""):
        if field:
            code = found.code or "invalid"
            named = {"code": _OUR_CODES.get(code, code), "detail": _sentence(found)}
            errors.setdefault(field, []).append(named)
        else:
            general.append(found)
    sentences = [_sentence(found) for found in general]
    if not sentences:
        first = [(name, named[0]["detail"]) for name, named in errors.items()]
        sentences = [f"{name}: {sentence}" for name, sentence in first[:_MOST_IN_DETAIL]]
        if len(first) > _MOST_IN_DETAIL:
            sentences.append("…")
    general_code = general[0].code if general else None
    return problem_response(
        error.status_code, general_code or "invalid", " ".join(sentences), errors
    )


def _flat(detail: Any, field: str) -> Iterator[tuple[str, ErrorDetail]]:
    """Yields each error with the path of its field, joined by dots; "" for the whole body."""
    if isinstance(detail, Mapping):
        for name, part in detail.items():
            is_general = name == api_settings.NON_FIELD_ERRORS_KEY
            path = field if is_general else f"{field}.{name}" if field else str(name)
            yield from _flat(part, path)
    elif isinstance(detail, list):
        for number, part in enumerate(detail):
            is_nested = isinstance(part, (Mapping, list))
            yield from _flat(part, f"{field}.{number}" if is_nested and field else field)
    else:
        yield field, detail


def _sentence(found: ErrorDetail) -> str:
    """Returns our sentence if DRF's would name Python types or columns."""
    match found.code:
        case "not_a_list":
            return _("Give a list.")
        case "not_a_dict":
            return _("Give an object.")
        case "incorrect_type":
            return _("Give a text.")
        case _:
            return str(found)
