"""The tables of the inbox: conversations as its list shows them, notes, and saved answers."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount

__all__ = ["Conversation", "ConversationLook", "ConversationNote", "SavedAnswer"]


class Conversation(models.Model):
    """The conversation with one follower who has written, one row of the inbox.

    The worker writes what was said and who waits (subscribers/inbox/keep.py); users assign and end
    conversations. `ended_at` is the time of the newest line that a user saw when they last ended
    it: messages up to then wait no longer. `last_kind` is the kind of the last message, "" for one
    of ours.
    """

    TEXT_LENGTH = 120

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        db_index=False,  # an index below begins with it
        related_name="+",
        verbose_name=_("Official Account"),
    )
    subscriber = models.OneToOneField(
        "subscribers.Subscriber",
        on_delete=models.PROTECT,
        related_name="conversation",
        verbose_name=_("follower"),
    )
    last_at = models.DateTimeField(_("last message"))
    last_kind = models.CharField(max_length=64, blank=True, default="")
    last_text = models.CharField(max_length=TEXT_LENGTH, blank=True, default="")
    waiting_since = models.DateTimeField(_("waiting since"), null=True, blank=True)
    window_until = models.DateTimeField(_("window closes"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    is_done = models.BooleanField(_("done"), default=False)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,  # an index below begins with it
        related_name="+",
        verbose_name=_("assigned to"),
    )

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        default_permissions = ("view", "change")
        indexes = [
            # All conversations, or those of one account, newest first.
            models.Index(fields=["last_at", "id"], name="conversation_last"),
            models.Index(fields=["account", "last_at", "id"], name="conversation_account"),
            # Who waits, in the order in which the windows close.
            models.Index(
                fields=["window_until", "id"],
                name="conversation_waiting",
                condition=Q(waiting_since__isnull=False),
            ),
            # The conversations of one agent.
            models.Index(
                fields=["assigned_to", "last_at", "id"],
                name="conversation_assigned",
                condition=Q(assigned_to__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class ConversationNote(models.Model):
    """A note of an agent for colleagues; the follower never sees it."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="notes")
    written_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    at = models.DateTimeField(default=timezone.now)
    text = models.TextField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"#{self.pk}"


class ConversationLook(models.Model):
    """When a user last had a conversation open, so that colleagues see each other there."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="looks")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["conversation", "user"], name="conversation_look_once")
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class SavedAnswer(models.Model):
    """A text that agents send often."""

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    title = models.CharField(_("title"), max_length=60)
    text = models.TextField(_("text"), max_length=600)

    class Meta:
        verbose_name = _("saved answer")
        verbose_name_plural = _("saved answers")
        ordering = ["title", "id"]

    def __str__(self) -> str:
        return self.title
