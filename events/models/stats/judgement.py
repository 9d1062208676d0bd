"""The table of accounts whose quarantined pushes are to be judged anew."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import models
from django.utils import timezone

from events.models.account import OfficialAccount

__all__ = ["PendingJudgement", "judge_when_corrected"]


class PendingJudgement(models.Model):
    """An account was corrected: the worker judges its quarantined pushes, oldest first.

    Twice, since for a moment other processes still go by what they remember of the account.
    """

    account = models.OneToOneField(
        OfficialAccount, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    due_at = models.DateTimeField()
    # Events up to this one are judged.
    after_id = models.BigIntegerField(default=0)
    is_last = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.account_id} from {self.after_id}"

    @classmethod
    def request(cls, account_id: int, *, now: datetime.datetime | None = None) -> None:
        cls.objects.update_or_create(
            account_id=account_id,
            defaults={"due_at": now or timezone.now(), "after_id": 0, "is_last": False},
        )


def judge_when_corrected(instance: OfficialAccount, created: bool, **_signal: Any) -> None:
    """After an account was saved: its original ID may have become another one."""
    if not created and instance.has_new_original_id:
        PendingJudgement.request(instance.pk)
    instance.note_original_id()
