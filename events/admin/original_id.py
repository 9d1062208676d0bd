"""The original IDs that an account's quarantined pushes name, offered to the operator."""

from __future__ import annotations

from django.template.loader import render_to_string
from django.urls import reverse

from events.models import EventLog, OfficialAccount
from events.models.account_rules import is_original_id

__all__ = ["addressed_to", "offer"]

# Quarantined pushes that are looked at, the newest ones.
_LATEST = 50


def addressed_to(account: OfficialAccount) -> list[str]:
    """The original IDs that the latest quarantined pushes name, the most frequent first."""
    quarantined = EventLog.objects.with_status(EventLog.Status.QUARANTINED).filter(account=account)
    counts: dict[str, int] = {}
    for event in quarantined.order_by("-pk")[:_LATEST]:
        told = (event.payload or {}).get("ToUserName")
        if isinstance(told, str) and is_original_id(told) and told != account.original_id:
            counts[told] = counts.get(told, 0) + 1
    return sorted(counts, key=lambda told: -counts[told])


def offer(account: OfficialAccount) -> str:
    return render_to_string(
        "admin/events/officialaccount/original_ids.html",
        {
            "original_ids": addressed_to(account),
            "url": reverse("admin:events_officialaccount_original_id", args=[account.pk]),
        },
    )
