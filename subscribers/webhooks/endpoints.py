"""Makes endpoints, checks their addresses and types, and changes their secrets."""

from __future__ import annotations

import base64
import datetime
import secrets
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import EventLog, OfficialAccount
from subscribers.models import WebhookEndpoint, WebhookPosition
from subscribers.webhooks.endpoint_standing import release
from subscribers.webhooks.event_types import is_type

__all__ = [
    "OVERLAP",
    "activate",
    "make_endpoint",
    "rotate_secret",
    "validate_types",
    "validate_url",
]

# How long both secrets sign, so that the receiver has time to change over.
OVERLAP = datetime.timedelta(hours=24)


def validate_url(url: str) -> None:
    """Raises ValidationError if `url` is not the address of a web server."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ValidationError(_("Give an address that begins with https:// or http://."))
    if parts.username is not None or parts.fragment:
        raise ValidationError(_("An address has no user name and no # in it."))


def validate_types(types: list[str]) -> None:
    """Raises ValidationError unless all are types of events."""
    if not types:
        raise ValidationError(_("Choose at least one type."))
    for name in types:
        if not is_type(name):
            raise ValidationError(_("There is no type %s.") % name[:80])


def make_endpoint(account: OfficialAccount, url: str, types: list[str]) -> WebhookEndpoint:
    """Stores an endpoint, which gets events from now on. Show its `secret` once."""
    with transaction.atomic():
        newest = EventLog.objects.aggregate(newest=Max("id"))["newest"] or 0
        if not WebhookPosition.objects.exists():
            WebhookPosition.objects.get_or_create(pk=1, defaults={"event_id": newest})
        return WebhookEndpoint.objects.create(
            account=account,
            url=url,
            types=sorted(set(types)),
            secret=_new_secret(),
            after_event_id=newest,
        )


def rotate_secret(endpoint: WebhookEndpoint) -> str:
    """Gives the endpoint a new secret and returns it; the former one signs too for a day."""
    with transaction.atomic():
        # Another rotation may have ended since the caller read the row; it showed its secret too.
        rows = WebhookEndpoint.objects.select_for_update(no_key=True)
        endpoint.refresh_from_db(fields=["secret"], from_queryset=rows)
        endpoint.previous_secret = endpoint.secret
        endpoint.previous_until = timezone.now() + OVERLAP
        endpoint.secret = secret = _new_secret()
        endpoint.save(update_fields=["secret", "previous_secret", "previous_until"])
    return secret


def activate(endpoint: WebhookEndpoint) -> int:
    """Turns an endpoint on again at once; returns how many held deliveries are due now."""
    endpoint.is_active = True
    endpoint.stopped_because = ""
    endpoint.failures = 0
    endpoint.failing_since = endpoint.retry_at = endpoint.paused_at = None
    times = ("failing_since", "retry_at", "paused_at")
    endpoint.save(update_fields=["is_active", "stopped_because", "failures", *times])
    return release(WebhookEndpoint.objects.filter(pk=endpoint.pk))


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
