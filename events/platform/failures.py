"""What a failed call to the platform means for work that is waiting: when again, and in words."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from events.models.job import RETRY_DELAYS
from events.platform.tokens import TokenPaused
from events.wechat.api import APIError, DailyQuotaReached, RateLimitReached, TokenRejected

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["EXPLANATIONS", "FAULT", "explanation", "pauses_after"]

# What `failure` holds when it was not the platform that failed.
FAULT = "fault"

# What operators are told, by `APIError.label`. WeChat's own words stand beside it.
EXPLANATIONS: dict[str, StrOrPromise] = {
    "unreachable": _("WeChat's platform could not be reached."),
    "bad_answer": _("What answered was not WeChat's platform."),
    "busy": _("WeChat's platform is busy."),
    "token": _("WeChat refuses the access token, a fresh one too."),
    "token_paused": _("There is no access token at present."),
    "token_store": _("Redis, which keeps the access tokens, does not answer."),
    "inactive": _("The account is switched off."),
    "no_app_secret": _("The account has no AppID or no AppSecret."),
    "daily_quota": _("The day's calls of this API are used up, until midnight in Beijing."),
    "rate_limit": _("There were too many calls in one minute."),
    "address": _("This server's IP address is not on the account's list (IP白名单)."),
    "credentials": _("WeChat refuses the AppID or the AppSecret."),
    "permission": _("WeChat does not let this account call this API (接口未授权)."),
    "request": _("WeChat does not accept what it was asked."),
    "refused": _("WeChat refused."),
    FAULT: _("A fault of this site; its log says more."),
}

_BEIJING = datetime.timezone(datetime.timedelta(hours=8))
# Clocks differ, and everybody comes back at midnight.
_AFTER_MIDNIGHT = datetime.timedelta(minutes=2)


def explanation(label: str) -> str:
    """A sentence for operators, "" if the label says nothing of its own."""
    return str(EXPLANATIONS.get(label, ""))


def pauses_after(
    error: APIError,
    attempts: int,
    now: datetime.datetime,
    delays: Sequence[datetime.timedelta] = RETRY_DELAYS,
) -> Sequence[datetime.timedelta]:
    """The delays after the first, second, … failure, of which that of `attempts` is next.

    Empty where trying again is of no use until somebody has done something; never exhausted where
    the platform itself says from when on it will answer.
    """
    match error:
        case DailyQuotaReached():
            today = now.astimezone(_BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
            return [today + datetime.timedelta(days=1) + _AFTER_MIDNIGHT - now] * attempts
        case RateLimitReached():
            return [datetime.timedelta(minutes=1)] * attempts
        case TokenPaused(until=until) if until is not None:
            return [max(until - now, delays[0])] * len(delays)
        case TokenRejected():
            # Another process may be using the account with its own token, and stop to.
            return delays
        case _:
            return delays if error.is_temporary else ()
