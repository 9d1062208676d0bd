"""The table of what followers and accounts said, for the search (events/search)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["EventToIndex", "MessageText"]


class MessageText(models.Model):
    """The words of one message, reply or customer-service message.

    `source_id` is the id of the event or message with these words. It has no constraint, because
    the log is partitioned and pruned. Django does not know the index over pairs of letters: it is
    the column `grams` on PostgreSQL, and the table events_messagegrams on SQLite.
    """

    class Said(models.TextChoices):
        FOLLOWER = "f", _("follower")
        REPLY = "r", _("reply")
        MESSAGE = "m", _("customer-service message")

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        db_index=False,  # an index below begins with it
        verbose_name=_("Official Account"),
    )
    said = models.CharField(_("said by"), max_length=1, choices=Said.choices)
    source_id = models.BigIntegerField()
    event_time = models.DateTimeField(_("time"))
    openid = models.CharField("OpenID", max_length=64)
    content = models.TextField(_("text"))

    class Meta:
        verbose_name = _("text of a message")
        verbose_name_plural = _("texts of messages")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["said", "source_id"], name="message_text_once"),
        ]
        indexes = [
            # One account's texts of a span of time, newest first.
            models.Index(fields=["account", "event_time", "id"], name="message_text_account"),
            # The same for all accounts; also the texts that retention removes.
            models.Index(fields=["event_time", "id"], name="message_text_time"),
            # One person's texts, for an erasure.
            models.Index(fields=["openid"], name="message_text_openid"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class EventToIndex(models.Model):
    """An event whose words or whose reply the worker must still copy into MessageText."""

    event_id = models.BigIntegerField(primary_key=True)
    event_time = models.DateTimeField()

    def __str__(self) -> str:
        return f"event {self.event_id}"
