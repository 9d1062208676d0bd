"""The tables of erasures (删除个人信息): who is to be erased, and the receipt that it was done."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
from collections.abc import Collection

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.models.fields import EncryptedTextField
from events.models.job import Job, JobQuerySet

__all__ = ["Erasure", "PseudonymKey", "digest_of", "keyed"]


class PseudonymKey(models.Model):
    """The secret with which this site recognises an erased OpenID; the table has one row.

    It is none of FIELD_ENCRYPTION_KEYS, because those change, and this site must recognise OpenIDs
    in copies of archives for as long as the copies exist.
    """

    key = EncryptedTextField(editable=False)

    def __str__(self) -> str:
        return f"#{self.pk}"

    @classmethod
    def value(cls) -> bytes:
        """The key; the first use makes it."""
        row, _ = cls.objects.get_or_create(pk=1, defaults={"key": secrets.token_hex(32)})
        return bytes.fromhex(row.key)


def digest_of(account_id: int, openid: str, *, key: bytes | None = None) -> str:
    """The digest of one person of one account; without the key nobody can compute it."""
    return keyed(key or PseudonymKey.value(), f"{account_id}:{openid}")


def keyed(key: bytes, text: str) -> str:
    """The HMAC-SHA-256 of a text, in hexadecimal."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class ErasureQuerySet(JobQuerySet["Erasure"]):
    def open(self) -> ErasureQuerySet:
        return self.filter(erased_at=None)

    def done(self) -> ErasureQuerySet:
        return self.exclude(erased_at=None)

    def last_of(
        self, account: OfficialAccount, openids: Collection[str]
    ) -> dict[str, datetime.datetime]:
        """When people were last erased, by OpenID; people who were never erased are left out."""
        done = self.done().filter(account=account)
        if not openids or not done.exists():
            return {}
        key = PseudonymKey.value()
        digests = {digest_of(account.pk, openid, key=key): openid for openid in openids}
        rows = done.filter(openid_digest__in=digests).order_by("erased_at")
        return {
            digests[digest]: erased_at
            for digest, erased_at in rows.values_list("openid_digest", "erased_at")
            if erased_at is not None
        }


class Erasure(Job):
    """The job that erases one person of one account; once it is done, the row is the receipt.

    `openid` is kept only until the erasure is done. `openid_digest`, keyed with PseudonymKey,
    recognises the person in copies of archives. `pseudonym` replaces the OpenID in the log and the
    tables. `counts` says how many rows of each table were changed, and `digest` is the SHA-256 of
    the receipt's text.
    """

    class Reason(models.TextChoices):
        REQUESTED = "requested", _("asked for by the person")
        REVOKED = "revoked", _("authorization withdrawn")
        CANCELLED = "cancelled", _("WeChat account closed")
        UNFOLLOWED = "unfollowed", _("unfollowed long ago")

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        related_name="erasures",
        verbose_name=_("Official Account"),
    )
    openid = EncryptedTextField("OpenID", blank=True, default="", editable=False)
    openid_digest = models.CharField(max_length=64, editable=False)
    pseudonym = models.CharField(_("pseudonym"), max_length=64, unique=True)
    reason = models.CharField(_("erased because"), max_length=20, choices=Reason.choices)
    requested_at = models.DateTimeField(_("requested"))
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("requested by"),
    )
    erased_at = models.DateTimeField(_("erased"), null=True, blank=True)
    counts = models.JSONField(_("changed rows"), default=dict, blank=True)
    digest = models.CharField(_("digest of the receipt"), max_length=64, blank=True, default="")

    objects = ErasureQuerySet.as_manager()

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        constraints = [
            models.UniqueConstraint(
                fields=["account", "openid_digest"],
                name="erasure_one_open",
                condition=Q(erased_at=None),
            ),
            models.CheckConstraint(
                name="erasure_forgets_openid", condition=Q(erased_at=None) | Q(openid="")
            ),
        ]
        indexes = [
            # Finds the people whom a copy of an archive names.
            models.Index(fields=["openid_digest"], name="erasure_digest"),
            # Finds whom the worker erases next.
            models.Index(fields=["due_at"], name="erasure_due", condition=Q(due_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.pseudonym
