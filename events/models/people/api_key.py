"""The table of API keys."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import secrets
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["ApiKey"]

# How long before a key expires the API and the admin begin to warn.
_WARNED_BEFORE = datetime.timedelta(days=30)
# The site notes a key's use at most once in this time.
_APART = datetime.timedelta(minutes=1)


class ApiKey(models.Model):
    """A key to the API. The site stores only its digest, so a copied database contains no key.

    A key never has more rights than its owner: it loses the rights and accounts that its owner
    loses.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="api_keys",
        verbose_name=_("user"),
    )
    name = models.CharField(_("name"), max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    # A limited key stays limited when the last of its accounts is deleted.
    is_limited = models.BooleanField(default=False, editable=False)
    accounts = models.ManyToManyField(
        OfficialAccount,
        blank=True,
        related_name="+",
        verbose_name=_("Official Accounts"),
        help_text=_("None chosen: all that you may see."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    last_used_from = models.GenericIPAddressField(
        _("last used from"), null=True, blank=True, editable=False
    )
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
    def issue(
        cls,
        *,
        user: Any,
        scopes: list[str],
        name: str = "",
        accounts: Iterable[OfficialAccount] = (),
        expires_at: datetime.datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Makes a key and returns it with its text, which is not stored.

        By default the key lasts for API_KEY_DAYS days and sees all accounts of its owner.
        """
        key = secrets.token_urlsafe(32)
        chosen = list(accounts)
        if expires_at is None:
            expires_at = timezone.now() + datetime.timedelta(days=settings.API_KEY_DAYS)
        with transaction.atomic():
            made = cls.objects.create(
                user=user,
                scopes=scopes,
                name=name,
                digest=cls.digest_of(key),
                is_limited=bool(chosen),
                expires_at=expires_at,
            )
            made.accounts.set(chosen)
        return made, key

    @classmethod
    def ending_soon(cls, user: Any) -> models.QuerySet[ApiKey]:
        """The user's keys that still work, but expire so soon that the site warns."""
        now = timezone.now()
        return cls.objects.filter(
            user=user.pk, revoked_at=None, expires_at__gt=now, expires_at__lte=now + _WARNED_BEFORE
        ).order_by("expires_at")

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def ends_soon(self) -> bool:
        """Whether the key expires so soon that the site warns."""
        return self.expires_at is not None and self.expires_at <= timezone.now() + _WARNED_BEFORE

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and not self.is_expired and self.user.is_active

    def note_use(self, address: str) -> None:
        """Notes the use at most once a minute, so that not every request writes."""
        now = timezone.now()
        # Note a new address after one second, because two systems may share a key and alternate.
        apart = _APART if self.last_used_from == address else _APART / 60
        if self.last_used_at is None or now - self.last_used_at > apart:
            # This write may fail without making the request fail.
            with contextlib.suppress(DatabaseError):
                type(self).objects.filter(pk=self.pk).update(
                    last_used_at=now, last_used_from=address
                )
