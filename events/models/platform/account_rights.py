"""The table of the API rights that WeChat gives each account."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["AccountRights"]


class AccountRights(models.Model):
    """WeChat's last answer: `rights` as `events.platform.rights.Right` writes them.

    `asked_at` is the last query, `known_at` the last answer. The row contains no secret and names
    no follower.
    """

    account = models.OneToOneField(
        OfficialAccount,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="rights",
        verbose_name=_("Official Account"),
    )
    rights = models.JSONField(default=list)
    asked_at = models.DateTimeField(null=True, blank=True)
    known_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("rights of an account")
        verbose_name_plural = _("rights of accounts")
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.pk}"
