"""Signed links to one user's binding page, for a frame in another site's page.

Browsers send no cookies into such a frame, so the link itself says who the user is. It is valid for
a short time, because anybody who reads it could bind their own WeChat to that user.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.core import signing
from django.urls import reverse

from events.models import OfficialAccount

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["LIFETIME", "Expired", "NotValid", "embedded_path", "read"]

# Enough time to open the page and to use a code on it.
LIFETIME = datetime.timedelta(minutes=15)
_SALT = "wechat_site.embedding"


class NotValid(Exception):
    """The text is no link of this site, or the link is no longer valid."""


class Expired(NotValid):
    """The link has expired."""


def embedded_path(account: OfficialAccount, user: User) -> str:
    """The path of a new link, which is valid from now on."""
    token = signing.dumps([account.pk, user.pk], salt=_SALT)
    return reverse("embedded_binding", args=[token])


def read(token: str) -> tuple[OfficialAccount, User]:
    """The account and the user; raises Expired, and NotValid for any other reason."""
    try:
        account_id, user_id = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except signing.SignatureExpired:
        raise Expired from None
    except signing.BadSignature:
        raise NotValid from None
    account = OfficialAccount.objects.filter(pk=account_id, is_active=True).first()
    user = get_user_model().objects.filter(pk=user_id, is_active=True).first()
    # Checked here too, because the user may have got staff rights after the link was made.
    if account is None or user is None or user.is_staff or user.is_superuser:
        raise NotValid
    return account, user
