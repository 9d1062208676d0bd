"""What applications learn of a user's WeChat, under the scope `wechat` (docs/openid-connect.md)."""

from __future__ import annotations

from typing import Any

from allauth.idp.oidc.models import Client

from events.models import ACCOUNT_SECRETS
from subscribers.models import Binding

__all__ = ["SCOPE", "accounts_of", "limit_to", "wechat_claims"]

SCOPE = "wechat"
_ACCOUNTS = "accounts"


def accounts_of(client: Client) -> list[int] | None:
    """The Official Accounts whose followers this application learns of; None: all."""
    chosen: list[int] = (client.data or {}).get(_ACCOUNTS) or []
    return chosen or None


def limit_to(client: Client, account_ids: list[int]) -> None:
    """Sets the accounts whose followers this application learns of; none given: all."""
    client.data = {**(client.data or {}), _ACCOUNTS: account_ids}


def wechat_claims(user: Any, client: Client) -> dict[str, Any]:
    """The followers to whom this user is bound; an empty dict for a user without a binding.

    If there is only one, its values are also beside the list, for applications that need no list.
    """
    bindings = Binding.objects.active().filter(user=user, account__is_active=True)
    if (chosen := accounts_of(client)) is not None:
        bindings = bindings.filter(account__in=chosen)
    bindings = bindings.select_related("account", "subscriber").order_by("account__slug")
    rows = [
        _values(binding)
        for binding in bindings.defer(*(f"account__{name}" for name in ACCOUNT_SECRETS))
    ]
    if not rows:
        return {}
    claims: dict[str, Any] = {"wechat_accounts": rows}
    if len({row.get("unionid") for row in rows}) == 1 and "unionid" in rows[0]:
        claims["wechat_unionid"] = rows[0]["unionid"]
    if len(rows) == 1:
        claims |= {
            f"wechat_{name}": rows[0][name]
            for name in ("account", "openid", "remark")
            if name in rows[0]
        }
    return claims


def _values(binding: Binding) -> dict[str, Any]:
    follower = binding.subscriber
    known = {"unionid": follower.unionid, "remark": follower.remark}
    return {
        "account": binding.account.slug,
        "openid": follower.openid,
        "following": follower.is_following,
        "bound_at": int(binding.bound_at.timestamp()),
        **{name: value for name, value in known.items() if value},
    }
