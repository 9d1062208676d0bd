"""Shows on an account's pages what WeChat lets it call."""

from __future__ import annotations

from typing import Any

from events.admin.html import moment
from events.models import AccountRights, OfficialAccount
from events.platform.rights import RIGHTS, known_rights

__all__ = ["shown_rights"]


def shown_rights(account: OfficialAccount) -> dict[str, Any]:
    """Returns the context of templates/admin/events/officialaccount/rights.html."""
    row = AccountRights.objects.filter(pk=account.pk).first()
    return {
        "may_ask": bool(account.app_id and account.app_secret),
        "rights": known_rights(row),
        "needing": list(RIGHTS.values()),
        "known_at": moment(row.known_at, account) if row else "",
    }
