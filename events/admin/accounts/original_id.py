"""Offers the operator the original IDs that an account's quarantined pushes name."""

from __future__ import annotations

from django.template.loader import render_to_string
from django.urls import reverse

from events.doctor.account_settings import addressed_to
from events.models import OfficialAccount

__all__ = ["offer"]


def offer(account: OfficialAccount) -> str:
    """Renders the original IDs as buttons that take one of them."""
    return render_to_string(
        "admin/events/officialaccount/original_ids.html",
        {
            "original_ids": addressed_to(account),
            "url": reverse("admin:events_officialaccount_original_id", args=[account.pk]),
        },
    )
