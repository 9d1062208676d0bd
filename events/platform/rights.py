"""Keeps what WeChat lets an account call (接口权限), and how many calls are left today.

The worker asks WeChat once a day, and again after a change of the account. The doctor asks each
time. If WeChat refuses a call with 48001, the site notes that at once.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import AccountRights, OfficialAccount
from events.platform.client import client_for
from events.wechat.api import APIError, Client, NotPermitted, Refused, RequestRejected

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "CAN_ASK", "RIGHTS", "Right", "able_accounts", "ask_for_rights", "ask_regularly",
    "keep_rights", "known_rights", "note_unauthorized", "right_of",
]  # fmt: skip

logger = logging.getLogger(__name__)

# The APIs that this site calls, by path. The quota of a path shows whether an account may call it.
RIGHTS: Mapping[str, StrOrPromise] = {
    "/cgi-bin/message/custom/send": _("customer-service messages (客服消息)"),
    "/cgi-bin/menu/create": _("menus (自定义菜单)"),
    "/cgi-bin/qrcode/create": _("QR codes with a scene (带参数二维码)"),
    "/cgi-bin/user/get": _("the list of followers (用户列表)"),
    "/cgi-bin/user/info/batchget": _("profiles of followers (用户信息)"),
    "/cgi-bin/tags/get": _("tags (用户标签)"),
    "/cgi-bin/media/upload": _("media files (素材)"),
    "/datacube/getusersummary": _("WeChat's statistics (数据统计)"),
}
# Beginnings of paths, and the right to which such paths belong. The first match counts.
_FAMILIES = (
    ("/cgi-bin/message/custom/", "/cgi-bin/message/custom/send"),
    ("/cgi-bin/menu/", "/cgi-bin/menu/create"),
    ("/cgi-bin/qrcode/", "/cgi-bin/qrcode/create"),
    ("/cgi-bin/user/info", "/cgi-bin/user/info/batchget"),
    ("/cgi-bin/user/get", "/cgi-bin/user/get"),
    ("/cgi-bin/tags/", "/cgi-bin/tags/get"),
    ("/cgi-bin/media/", "/cgi-bin/media/upload"),
    ("/datacube/", "/datacube/getusersummary"),
)
# Accounts with both: without them WeChat gives no access token.
CAN_ASK = ~Q(app_id="") & ~Q(app_secret="")
_UNAUTHORIZED = 48001
_DAY = datetime.timedelta(days=1)
_HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Right:
    """One API: whether the account may call it, and today's calls; 0 if no figure is known."""

    path: str
    is_granted: bool
    daily_limit: int = 0
    remain: int = 0

    @property
    def words(self) -> str:
        return str(RIGHTS.get(self.path, self.path))

    @property
    def is_low(self) -> bool:
        return self.daily_limit > 0 and self.remain < self.daily_limit / 10

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def right_of(path: str) -> str:
    """Returns the path in `RIGHTS` to which this path belongs; "" for none."""
    return next((right for beginning, right in _FAMILIES if path.startswith(beginning)), "")


def ask_for_rights(client: Client) -> list[Right]:
    """Asks WeChat for each right; raises `APIError` if it does not answer."""
    found = []
    for path in RIGHTS:
        try:
            quota = client.diagnostics.quota(path)
        except NotPermitted:
            found.append(Right(path, False))
        except RequestRejected:
            # WeChat does not count calls of this path, so its quota does not show the right.
            continue
        else:
            found.append(Right(path, True, quota.daily_limit, quota.remain))
    return found


def keep_rights(account: OfficialAccount, rights: Iterable[Right]) -> None:
    """Stores WeChat's answer as known from now on."""
    now = timezone.now()
    told = {"rights": [right.as_json() for right in rights], "asked_at": now, "known_at": now}
    AccountRights.objects.update_or_create(account_id=account.pk, defaults=told)


def known_rights(row: AccountRights | None) -> list[Right]:
    """Returns the stored rights, without those that this version of the site does not know."""
    return [Right(**told) for told in (row.rights if row else ()) if told["path"] in RIGHTS]


def note_unauthorized(account_id: int, error: APIError) -> None:
    """Notes that WeChat refused a call because the account lacks the right (48001)."""
    if not (isinstance(error, Refused) and error.errcode == _UNAUTHORIZED):
        return
    path = right_of(error.path)
    if not path:
        return
    row = AccountRights.objects.filter(pk=account_id).first()
    known = known_rights(row)
    if Right(path, False) in known:
        return
    rights = [right for right in known if right.path != path] + [Right(path, False)]
    now = timezone.now()
    told = {"rights": [right.as_json() for right in rights], "known_at": now}
    AccountRights.objects.update_or_create(account_id=account_id, defaults=told)


def ask_regularly() -> int:
    """Asks WeChat for rights that are unknown or old; returns for how many accounts.

    Call it outside a transaction.
    """
    now = timezone.now()
    is_old = Q(rights__asked_at=None) | Q(rights__asked_at__lt=now - _DAY)
    # After a failure ask once an hour, after a change of the account at once.
    failed = Q(rights__asked_at__lt=now - _HOUR) & (
        Q(rights__known_at=None) | Q(rights__known_at__lt=F("rights__asked_at"))
    )
    changed = Q(rights__asked_at__lt=F("updated_at"))
    asked = 0
    for account in able_accounts().filter(is_old | failed | changed).order_by("pk"):
        try:
            keep_rights(account, ask_for_rights(client_for(account)))
        except APIError as error:
            # Alerts and the doctor show this failure, so only note the try.
            logger.info("WeChat did not report the rights of %s: %s", account.slug, error)
            told = {"asked_at": now}
            AccountRights.objects.update_or_create(account_id=account.pk, defaults=told)
        asked += 1
    return asked


def able_accounts() -> QuerySet[OfficialAccount]:
    """The active accounts for which this site can call WeChat."""
    return OfficialAccount.objects.filter(CAN_ASK, is_active=True)
