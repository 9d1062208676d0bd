"""One line in the log for each sign-in and each failure, in a form that fail2ban reads.

The address stands first and the name, which a stranger chose, last and quoted: no name can pass for
an address or begin a line of its own. docs/sign-in.md has the filter.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from allauth.mfa.signals import authentication_failed
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from events.people.address import client_address

__all__ = ["note_failure"]

logger = logging.getLogger("wechat_site.signin")


def note_failure(request: HttpRequest, name: str, why: str) -> None:
    """Logs a sign-in that failed: `why` is one of password, locked and second-factor."""
    logger.warning(
        "sign-in failed address=%s reason=%s user=%s", client_address(request), why, _quoted(name)
    )


@receiver(user_logged_in)
def _signed_in(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if request is not None:
        name = _quoted(user.get_username())
        logger.info("sign-in succeeded address=%s user=%s", client_address(request), name)


@receiver(user_logged_out)
def _signed_out(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if request is not None and user is not None:
        name = _quoted(user.get_username())
        logger.info("sign-out address=%s user=%s", client_address(request), name)


@receiver(authentication_failed)
def _second_factor_failed(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    note_failure(request, user.get_username(), "second-factor")


def _quoted(name: str) -> str:
    return json.dumps(name[:150])
