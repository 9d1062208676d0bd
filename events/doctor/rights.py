"""What WeChat lets an account call (接口权限), and how many calls are left today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from events.wechat.api import Client, NotPermitted, RequestRejected

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["RIGHTS", "Right", "ask_for_rights"]

# What this site calls, by path: the quota of a path tells whether the account may call it.
RIGHTS: Mapping[str, StrOrPromise] = {
    "/cgi-bin/message/custom/send": _("customer-service messages (客服消息)"),
    "/cgi-bin/menu/create": _("menus (自定义菜单)"),
    "/cgi-bin/qrcode/create": _("QR codes with a scene (带参数二维码)"),
    "/cgi-bin/user/get": _("the list of followers (用户列表)"),
    "/cgi-bin/user/info/batchget": _("profiles of followers (用户信息)"),
    "/cgi-bin/tags/get": _("tags (用户标签)"),
    "/datacube/getusersummary": _("WeChat's statistics (数据统计)"),
}


@dataclass(frozen=True, slots=True)
class Right:
    """One API: whether the account may call it, and today's calls; 0 where there is no figure."""

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


def ask_for_rights(client: Client) -> list[Right]:
    """Asks WeChat for each; raises `APIError` if it does not answer."""
    found = []
    for path in RIGHTS:
        try:
            quota = client.diagnostics.quota(path)
        except (NotPermitted, RequestRejected):
            # The second where WeChat knows no such path for this kind of account.
            found.append(Right(path, False))
        else:
            found.append(Right(path, True, quota.daily_limit, quota.remain))
    return found
