"""What followers and accounts said, to be searched (events/search)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["EventToIndex", "MessageText"]


class MessageText(models.Model):
    """The words of one message, reply or customer-service message.

    `source_id` is the id of the event or message that has them, without a constraint, since the log
    is partitioned and pruned. The index over pairs of letters is beside this table, unknown to
    Django: the column `grams` on PostgreSQL, the table events_messagegrams on SQLite.
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
            # One account's texts of a stretch of time, newest first.
            models.Index(fields=["account", "event_time", "id"], name="message_text_account"),
            # The same of all accounts; what is past its time.
            models.Index(fields=["event_time", "id"], name="message_text_time"),
            # One person's, to be erased.
            models.Index(fields=["openid"], name="message_text_openid"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class EventToIndex(models.Model):
    """An event whose words, or the reply to them, the worker has still to take over."""

    event_id = models.BigIntegerField(primary_key=True)
    event_time = models.DateTimeField()

    def __str__(self) -> str:
        return f"event {self.event_id}"
