"""The table of refused requests to the callback, by minute."""

from __future__ import annotations

from django.db import models

__all__ = ["CallbackRefusal"]


class CallbackRefusal(models.Model):
    """How many requests to an account's callback were refused in one minute, and why.

    `account` is a handle, "" if the address belongs to no active account. `reason` is the name of
    the error (events/wechat/errors.py), or "unknown_account".
    """

    minute = models.DateTimeField()
    account = models.SlugField(blank=True, db_index=False)
    reason = models.CharField(max_length=40)
    number = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "account", "reason"], name="callback_refusal_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.reason} {self.minute}"
