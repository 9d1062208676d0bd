"""The table of accounts whose quarantined pushes the worker has to judge again."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from events.models.account import OfficialAccount

__all__ = ["PendingJudgement", "judge_when_corrected"]


class PendingJudgement(models.Model):
    """An operator corrected an account: the worker judges its quarantined pushes, oldest first.

    It judges them twice, because for a moment other processes still use the account's old settings
    from their cache.
    """

    account = models.OneToOneField(
        OfficialAccount, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    due_at = models.DateTimeField()
    # The worker has judged the events up to this one.
    after_id = models.BigIntegerField(default=0)
    is_last = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.account_id} from {self.after_id}"

    @classmethod
    def request(cls, account_id: int) -> None:
        cls.objects.update_or_create(
            account_id=account_id,
            defaults={"due_at": timezone.now(), "after_id": 0, "is_last": False},
        )


def judge_when_corrected(instance: OfficialAccount, created: bool, **_signal: Any) -> None:
    """Requests a new judgement if a saved account has another original ID; a post_save receiver."""
    if not created and instance.has_new_original_id:
        PendingJudgement.request(instance.pk)
    instance.note_original_id()
