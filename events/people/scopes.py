"""The scopes of API keys, and the right that a key's owner needs for each."""

from __future__ import annotations

from typing import Any

__all__ = ["ACT_FOR_USERS", "READ_SCOPES", "SCOPES", "WRITE_SCOPES", "may_give", "scopes_of"]

ACT_FOR_USERS = "bindings:act-for-users"

# "" means that every user may have the scope, for themselves.
_RIGHTS = {
    "accounts:read": "events.view_officialaccount",
    "bindings:read": "subscribers.view_binding",
    "events:read": "events.view_eventlog",
    "messages:read": "subscribers.view_outgoingmessage",
    "scenes:read": "subscribers.view_qrscene",
    "stats:read": "events.view_statistics",
    "subscribers:read": "subscribers.view_subscriber",
    "webhooks:read": "subscribers.view_webhookendpoint",
    "bindings:write": "",
    "messages:write": "subscribers.add_outgoingmessage",
    "scenes:write": "subscribers.add_qrscene",
    "webhooks:write": "subscribers.add_webhookendpoint",
    # These give access to the account at WeChat, so READ_SCOPES and WRITE_SCOPES leave them out.
    "access-token:use": "events.use_access_token",
    "js-ticket:use": "events.use_js_ticket",
    "js-config:use": "events.use_js_ticket",
    ACT_FOR_USERS: "events.act_for_users",
}
SCOPES = tuple(_RIGHTS)
READ_SCOPES = tuple(scope for scope in SCOPES if scope.endswith(":read"))
WRITE_SCOPES = tuple(scope for scope in SCOPES if scope.endswith(":write"))


def may_give(user: Any, scope: str) -> bool:
    """Whether this user has the right that the scope needs."""
    right = _RIGHTS[scope]
    return not right or bool(user.has_perm(right))


def scopes_of(user: Any) -> list[str]:
    """The scopes that a key of this user may have."""
    return [scope for scope in SCOPES if may_give(user, scope)]
