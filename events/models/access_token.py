"""The table that all processes and nodes share an account's access token through."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models.fields import EncryptedTextField

__all__ = ["SharedAccessToken"]


class SharedAccessToken(models.Model):
    """One account's access token, who is refreshing it now, and what went wrong at last.

    Only `events.platform.token_store` writes here; with REDIS_URL Redis keeps the same instead.
    `app_id` is the account's AppID that the token was issued to. A lease is held by one refresher
    until `lease_until`, unless it ends it before; a killed refresher's lease runs out. `failure` is
    the label of a `APIError`, "" after a success.
    """

    account = models.OneToOneField(
        "events.OfficialAccount",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="platform_token",
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

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")

    def __str__(self) -> str:
        return f"#{self.pk}"
