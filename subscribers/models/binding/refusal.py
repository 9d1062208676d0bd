"""The reasons for which a scan neither binds nor signs in."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["Refusal"]


class Refusal(models.TextChoices):
    """Why a scan did not bind."""

    UNKNOWN = "unknown", _("no such binding code")
    EXPIRED = "expired", _("the code had expired")
    USED = "used", _("the code was already used")
    WITHDRAWN = "withdrawn", _("a newer code had replaced it")
    WRONG_ACCOUNT = "wrong_account", _("scanned under another Official Account")
    FOLLOWER_BOUND = "follower_bound", _("this WeChat is bound to another user")
    USER_BOUND = "user_bound", _("this user is bound to another WeChat")
    USER_INACTIVE = "user_inactive", _("the user may not sign in")
    TOO_MANY = "too_many", _("too many wrong codes before")
    DECLINED = "declined", _("the follower declined")
    # Only for sign-ins.
    NOT_BOUND = "not_bound", _("this WeChat is bound to no user")
