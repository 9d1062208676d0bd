"""Writes a line to the log for each sign-in and each failure, in a form that fail2ban reads.

The address comes first. The name, which a stranger chose, comes last and quoted, so no name can
look like an address or begin a line of its own. docs/sign-in.md has the filter.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.mfa.signals import authentication_failed
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.cache import caches
from django.dispatch import receiver
from django.http import HttpRequest

from events.audit.acts import REASONS
from events.audit.record import record
from events.models import OfficialAccount
from events.people.client_address import client_address
from subscribers.models import Refusal

__all__ = ["note_failure", "note_refusal"]

logger = logging.getLogger("wechat_site.signin")

# Seconds between two audit entries about one lock. A stranger who goes on trying fills only the
# log, which is rotated, and not the database.
_LOCKED_NOTED_EVERY = 3600

REASONS.update(Refusal.choices)


def note_failure(request: HttpRequest, name: str, why: str) -> None:
    """Logs a sign-in that failed: `why` is password, locked or second-factor."""
    if why != "locked" or _is_news(name):
        record("sign_in_failed", user_name=name, details={"reason": why})
    _log_failure(request, name, why)


def note_refusal(request: HttpRequest, name: str, why: str, account: OfficialAccount) -> None:
    """Logs a sign-in with WeChat that failed: `why` is a Refusal or no-second-factor."""
    details = {"with": "WeChat", "reason": why}
    record("sign_in_failed", user_name=name, account=account, details=details)
    _log_failure(request, name, "wechat")


def _log_failure(request: HttpRequest, name: str, why: str) -> None:
    logger.warning(
        "sign-in failed address=%s reason=%s user=%s", client_address(request), why, _quoted(name)
    )


@receiver(user_logged_in)
def _signed_in(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if request is not None:
        name = _quoted(user.get_username())
        methods = {entry["method"]: entry for entry in get_authentication_records(request, user)}
        account = details = None
        if by_wechat := methods.get("wechat"):
            found = OfficialAccount.objects.only("pk").filter(pk=by_wechat["account"])
            account, details = found.first(), {"with": "WeChat"}
        record("sign_in", user, name=user.get_username(), account=account, details=details)
        logger.info("sign-in succeeded address=%s user=%s", client_address(request), name)


@receiver(user_logged_out)
def _signed_out(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if request is not None and user is not None:
        name = _quoted(user.get_username())
        record("sign_out", user, name=user.get_username())
        logger.info("sign-out address=%s user=%s", client_address(request), name)


@receiver(authentication_failed)
def _second_factor_failed(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    note_failure(request, user.get_username(), "second-factor")


def _is_news(name: str) -> bool:
    """Whether this process noted no attempt under the locked name in the last hour."""
    key = hashlib.sha256(name.lower().encode(errors="replace")).hexdigest()
    return bool(caches["process"].add(f"audit.locked.{key}", 1, _LOCKED_NOTED_EVERY))


def _quoted(name: str) -> str:
    return json.dumps(name[:150])
