"""The table of POSTs with an Idempotency-Key, and of their answers."""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Any

from django.db import IntegrityError, models, transaction
from django.utils import timezone

from events.models.fields import EncryptedTextField
from events.models.people.api_key import ApiKey

__all__ = ["IdempotentRequest"]

_BATCH = 5000


class IdempotentRequestQuerySet(models.QuerySet["IdempotentRequest"]):
    def claim(
        self, key: ApiKey, name: str, fingerprint: str, now: datetime.datetime
    ) -> tuple[IdempotentRequest, bool]:
        """Returns the row of this key and name, and whether the caller must run the request.

        A running request has the time LEASE to end. After that it counts as dead, and has changed
        nothing.
        """
        digest = hashlib.sha256(name.encode()).hexdigest()
        mine = self.filter(key=key, digest=digest)
        mine.filter(created_at__lte=now - self.model.KEPT_FOR).delete()
        try:
            with transaction.atomic():
                made = self.create(
                    key=key, digest=digest, fingerprint=fingerprint, created_at=now, started_at=now
                )
            return made, True
        except IntegrityError:
            found = mine.first()
        if found is None:
            # The first request failed and deleted its row between the two statements.
            return self.claim(key, name, fingerprint, now)
        dead = mine.filter(status=None, started_at__lte=now - self.model.LEASE)
        if found.fingerprint == fingerprint and dead.update(started_at=now):
            found.started_at = now
            return found, True
        return found, False

    def running(self, row: IdempotentRequest) -> IdempotentRequestQuerySet:
        """Selects the row if the run that claimed it still holds it."""
        return self.filter(pk=row.pk, status=None, started_at=row.started_at)

    def forget_old(self, now: datetime.datetime | None = None) -> int:
        """Removes up to a batch of rows older than KEPT_FOR; returns how many."""
        old = self.filter(created_at__lte=(now or timezone.now()) - self.model.KEPT_FOR)
        chosen = list(old.order_by("created_at").values_list("pk", flat=True)[:_BATCH])
        removed, _ = self.filter(pk__in=chosen).delete()
        return removed


class IdempotentRequest(models.Model):
    """A request of an API key under a name that the client chose, and its answer once it is known.

    The answer is encrypted, because the answer to a binding request contains a one-time code.
    """

    KEPT_FOR = datetime.timedelta(hours=24)
    LEASE = datetime.timedelta(seconds=60)

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, db_index=False, related_name="+")
    digest = models.CharField(max_length=64)
    # A digest of address and body.
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    content = EncryptedTextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField()

    objects = IdempotentRequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "digest"], name="idempotent_request_once"),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotent_request_age")]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @staticmethod
    def fingerprint_of(address: str, data: Any) -> str:
        """Digests address and body, ignoring the order of fields and white space."""
        written = json.dumps([address, data], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()
