"""The table through which all processes and nodes share an account's access token."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.models.fields import EncryptedTextField

__all__ = ["SharedAccessToken", "SharedAccessTokenQuerySet"]


class SharedAccessTokenQuerySet(models.QuerySet["SharedAccessToken"]):
    """The rows, one for each account. One refresher at a time holds a row's lease."""

    def of(self, account_id: int) -> SharedAccessToken:
        """Returns the account's row as it is now; makes it if it is missing."""
        row = self.filter(pk=account_id).first()
        if row is None:
            self.bulk_create([self.model(account_id=account_id)], ignore_conflicts=True)
            row = self.get(pk=account_id)
        return row

    def claim(
        self,
        account_id: int,
        holder: str,
        *,
        now: datetime.datetime,
        until: datetime.datetime,
    ) -> bool:
        """Takes the lease if it is free or has run out; False if another refresher holds it."""
        # Durable, because other processes do not see a claim inside the caller's transaction, and
        # on SQLite every writer would wait for WeChat.
        with transaction.atomic(durable=True):
            free = self.filter(Q(lease_until=None) | Q(lease_until__lte=now), pk=account_id)
            return bool(free.update(lease_holder=holder, lease_until=until))

    def write(self, account_id: int, holder: str, **columns: Any) -> bool:
        """Sets columns if the holder has the lease; else changes nothing and returns False."""
        return bool(self.filter(pk=account_id, lease_holder=holder).update(**columns))

    def release(self, account_id: int, holder: str) -> None:
        """Ends the lease if the holder still has it."""
        self.write(account_id, holder, lease_holder="", lease_until=None)


class SharedAccessToken(models.Model):
    """One account's access token, the process that refreshes it now, and the last failure.

    Only `events.platform.tokens` writes here. WeChat issued the token to `app_id`. A refresher
    holds the lease until it releases it, or until `lease_until` if it is killed. `failure` is the
    label of an `APIError`, "" after a success.
    """

    account = models.OneToOneField(
        "events.OfficialAccount",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="shared_access_token",
        verbose_name=_("Official Account"),
    )
    app_id = models.CharField(_("AppID"), max_length=64, blank=True, default="")
    access_token = EncryptedTextField(blank=True, default="", editable=False)
    refreshed_at = models.DateTimeField(_("refreshed"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    lease_holder = models.CharField(max_length=32, blank=True, default="", editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    failure = models.CharField(_("failure"), max_length=20, blank=True, default="")
    failure_code = models.IntegerField("errcode", null=True, blank=True)
    failure_message = models.TextField(_("message"), blank=True, default="")
    failure_rid = models.CharField("rid", max_length=64, blank=True, default="")
    failed_at = models.DateTimeField(_("failed"), null=True, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)

    objects = SharedAccessTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")

    def __str__(self) -> str:
        return f"#{self.pk}"
