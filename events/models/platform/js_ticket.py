"""The table through which all processes and nodes share an account's JS-SDK ticket."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.models.fields import EncryptedTextField

__all__ = ["SharedJsTicket", "SharedJsTicketQuerySet"]


class SharedJsTicketQuerySet(models.QuerySet["SharedJsTicket"]):
    def of(self, account_id: int) -> SharedJsTicket:
        """Returns the account's row as it is now; makes it if it is missing."""
        row = self.filter(pk=account_id).first()
        if row is None:
            self.bulk_create([self.model(account_id=account_id)], ignore_conflicts=True)
            row = self.get(pk=account_id)
        return row

    def claim(self, account_id: int, now: datetime.datetime, until: datetime.datetime) -> bool:
        """Takes the lease if it is free or has run out; False if another process has it."""
        with transaction.atomic(durable=True):
            free = self.filter(Q(lease_until=None) | Q(lease_until__lte=now), pk=account_id)
            return bool(free.update(lease_until=until))

    def end_lease(self, account_id: int, until: datetime.datetime, **columns: Any) -> bool:
        """Ends the lease that lasts until this moment, and sets columns; False if it is lost.

        If another process has a lease by now, nothing changes.
        """
        # Each lease ends later than the one before, so its end tells it from all others.
        held = self.filter(pk=account_id, lease_until=until)
        return bool(held.update(lease_until=None, **columns))


class SharedJsTicket(models.Model):
    """One account's ticket for pages in WeChat's browser (jsapi_ticket), and the last failure.

    Only `events.platform.broker` writes here. WeChat issued the ticket to `app_id`.
    """

    account = models.OneToOneField(
        "events.OfficialAccount",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="shared_js_ticket",
        verbose_name=_("Official Account"),
    )
    app_id = models.CharField(_("AppID"), max_length=64, blank=True, default="")
    ticket = EncryptedTextField(blank=True, default="", editable=False)
    refreshed_at = models.DateTimeField(_("refreshed"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    failed_at = models.DateTimeField(_("failed"), null=True, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)

    objects = SharedJsTicketQuerySet.as_manager()

    class Meta:
        verbose_name = _("JS-SDK ticket")
        verbose_name_plural = _("JS-SDK tickets")
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.pk}"
