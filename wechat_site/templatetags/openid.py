from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import template
from django.conf import settings
from oauthlib.oauth2.rfc6749 import errors

register = template.Library()

# Of a value that somebody else wrote into the address.
_LONGEST = 200
_AT_FAULT = {
    errors.InvalidClientIdError: "client_id",
    errors.MissingClientIdError: "client_id",
    errors.InvalidRedirectURIError: "redirect_uri",
    errors.MissingRedirectURIError: "redirect_uri",
    errors.MismatchingRedirectURIError: "redirect_uri",
}


@register.simple_tag
def signs_in_elsewhere() -> bool:
    """Whether users sign in to other applications from here."""
    return bool(settings.OPENID_CONNECT)


@dataclass(frozen=True)
class WrongRequest:
    """OAuth's code of an error, the parameter at fault, and what that was; "" for none."""

    code: str
    parameter: str
    value: str


@register.simple_tag(takes_context=True)
def wrong_request(context: dict[str, Any], error: Exception) -> WrongRequest:
    """What is wrong with a request that its application is not told of."""
    parameter = _AT_FAULT.get(type(error), "")
    value = str(context["request"].GET.get(parameter, "")) if parameter else ""
    return WrongRequest(
        getattr(error, "error", "") or "invalid_request", parameter, value[:_LONGEST]
    )
