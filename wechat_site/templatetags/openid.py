"""Template tags for the pages of OpenID Connect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import template
from django.conf import settings
from oauthlib.oauth2.rfc6749 import errors

register = template.Library()

# How many characters of a value from the address the page shows; anybody may write an address.
_SHOWN_CHARACTERS = 200
_AT_FAULT = {
    errors.InvalidClientIdError: "client_id",
    errors.MissingClientIdError: "client_id",
    errors.InvalidRedirectURIError: "redirect_uri",
    errors.MissingRedirectURIError: "redirect_uri",
    errors.MismatchingRedirectURIError: "redirect_uri",
}


@register.simple_tag
def signs_in_elsewhere() -> bool:
    """Whether users can sign in to other applications through this site."""
    return bool(settings.OPENID_CONNECT)


@dataclass(frozen=True)
class WrongRequest:
    """OAuth's error code, the parameter at fault, and its value; "" if no parameter is at fault."""

    code: str
    parameter: str
    value: str


@register.simple_tag(takes_context=True)
def wrong_request(context: dict[str, Any], error: Exception) -> WrongRequest:
    """What is wrong with a request, for an error that is shown here and not to the application."""
    parameter = _AT_FAULT.get(type(error), "")
    value = str(context["request"].GET.get(parameter, "")) if parameter else ""
    return WrongRequest(
        getattr(error, "error", "") or "invalid_request", parameter, value[:_SHOWN_CHARACTERS]
    )
