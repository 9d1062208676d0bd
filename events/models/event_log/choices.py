"""The choices of a log row: its source, its status, and how it was answered."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Source(models.TextChoices):
    CALLBACK = "callback", _("callback")
    IMPORT = "import", _("import")
    RECONCILE = "reconcile", _("reconcile")


class Status(models.TextChoices):
    RECEIVED = "received", _("received")
    PROCESSED = "processed", _("processed")
    FAILED = "failed", _("failed")
    DEAD = "dead", _("given up")
    UNREADABLE = "unreadable", _("unreadable")
    QUARANTINED = "set_aside", _("quarantined")


class AnsweredBy(models.TextChoices):
    """How a reply reached the follower. With KEPT and NONE it has not."""

    NOBODY_YET = "", _("no answer")
    REPLY = "reply", _("reply")
    MESSAGE = "message", _("customer-service message")
    NEXT = "next", _("reply to the next message")
    KEPT = "kept", _("unanswered: kept for the next message")
    NONE = "none", _("unanswered: reached nobody")


# Most rows have one of these, so the index leaves them out.
USUAL_ANSWERS = ("", "reply")
