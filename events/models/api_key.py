"""The table of API keys."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import secrets
from typing import Any

from django.conf import settings
from django.db import DatabaseError, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

__all__ = ["ApiKey"]


class ApiKey(models.Model):
    """A key to the API. Only its digest is stored: a copied database opens nothing."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="api_keys",
        verbose_name=_("user"),
    )
    name = models.CharField(_("name"), max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name or f"#{self.pk}"

    @staticmethod
    def digest_of(key: str) -> str:
        # The key has 256 random bits, so a slow password hash would add nothing.
        return hashlib.sha256(key.encode()).hexdigest()

    @classmethod
    def issue(cls, *, user: Any, scopes: list[str], name: str = "") -> tuple[ApiKey, str]:
        """Makes a key and returns it with its text, which can never be shown again."""
        key = secrets.token_urlsafe(32)
        made = cls.objects.create(user=user, scopes=scopes, name=name, digest=cls.digest_of(key))
        return made, key

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and self.user.is_active

    def note_use(self) -> None:
        """Notes the use, to the minute, so that not every request writes."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > datetime.timedelta(minutes=1):
            # The request succeeds without this write.
            with contextlib.suppress(DatabaseError):
                type(self).objects.filter(pk=self.pk).update(last_used_at=now)
