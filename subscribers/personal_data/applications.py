"""Shows and removes tokens of other applications for the user to whom a follower is bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allauth.idp.oidc.models import Token

from events.models import OfficialAccount
from subscribers.models import Binding
from subscribers.personal_data.collect import personal_data

__all__ = ["forget_tokens"]


def forget_tokens(bindings: Any) -> int:
    """Deletes the tokens by which applications learn of these bindings; returns how many."""
    removed: int = _tokens(bindings).delete()[0]
    return removed


def _tokens(bindings: Any) -> Any:
    tokens = Token.objects.filter(user__in=bindings.exclude(user=None).values("user"))
    # A token has one scope on each line, and no other scope contains this word.
    return tokens.filter(scopes__contains="wechat")


@personal_data("applications")
def _applications(account: OfficialAccount, openid: str) -> Iterator[dict[str, Any]]:
    bindings = Binding.objects.filter(subscriber__account=account, subscriber__openid=openid)
    for token in _tokens(bindings).select_related("client").order_by("pk"):
        yield {
            "application": token.client.name,
            "since": token.created_at.isoformat(),
            "until": token.expires_at.isoformat() if token.expires_at else None,
            "scopes": token.get_scopes(),
        }
