"""Explains to operators why a job failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["DATABASE", "EXPLANATIONS", "FAULT", "explanation"]

# The values of `Job.failure` if WeChat's API is not the cause.
DATABASE = "database"
FAULT = "fault"

# By `Job.failure`, which is `APIError.label` after a call. Pages show WeChat's own words beside it.
EXPLANATIONS: dict[str, StrOrPromise] = {
    "unreachable": _("WeChat could not be reached."),
    "bad_answer": _("The answer did not come from WeChat."),
    "busy": _("WeChat is busy."),
    "token": _("WeChat refuses the access token, and a fresh one too."),
    "token_paused": _("There is no access token now."),
    "ticket_paused": _("There is no JS-SDK ticket now."),
    "inactive": _("The account is switched off."),
    "no_app_secret": _("The account has no AppID or no AppSecret."),
    "daily_quota": _("Today's calls of this API are used up until midnight in Beijing."),
    "rate_limit": _("There were too many calls in one minute."),
    "address": _("This server's IP address is not on the account's list (IP白名单)."),
    "credentials": _("WeChat refuses the AppID or the AppSecret."),
    "permission": _("WeChat does not let this account call this API (接口未授权)."),
    "request": _("WeChat does not accept the request."),
    "refused": _("WeChat refused."),
    DATABASE: _("The database did not answer in time."),
    FAULT: _("A fault of this site; its log says more."),
}


def explanation(label: str) -> str:
    """Returns a sentence for operators; "" if there is none for the label."""
    return str(EXPLANATIONS.get(label, ""))
