"""The constraints and indexes of the log."""

from __future__ import annotations

from django.db import models

from events.models.event_log.expressions import AnsweredLate, EventKeyPrefix

CONSTRAINTS: list[models.BaseConstraint] = [
    # Events arrive in the order of their times, so this index grows at its end. With
    # dedup_key first, each insert would touch another page.
    models.UniqueConstraint(
        fields=["account", "event_time", "dedup_key"], name="event_delivered_once"
    ),
    models.CheckConstraint(
        name="event_source",
        condition=models.Q(source__in=["callback", "import", "reconcile"]),
    ),
    models.CheckConstraint(
        name="event_status",
        condition=models.Q(
            status__in=[
                "received", "processed", "failed", "dead", "unreadable", "set_aside"
            ]
        ),
    ),
    models.CheckConstraint(
        name="event_answered_by",
        condition=models.Q(
            answered_by__in=["", "reply", "message", "next", "kept", "none"]
        ),
    ),
    models.CheckConstraint(
        name="event_fold_only_ours",
        condition=models.Q(folded_at=None)
        | ~models.Q(status__in=["unreadable", "set_aside"]),
    ),
]  # fmt: skip

INDEXES = [
    # One account's events, newest first.
    models.Index(fields=["account", "id"], name="event_account"),
    # A day's rows of one account: statistics, and the API's event_time filters. The unique
    # key begins with the same columns, but does not sort the rows of one second by id.
    models.Index(fields=["account", "event_time"], name="event_account_time"),
    # A span of time, of all accounts: the filters by event_time and received_at, which
    # put the list in that order. Both grow at their end, so an insert costs little.
    models.Index(fields=["event_time", "id"], name="event_by_time"),
    models.Index(fields=["received_at", "id"], name="event_by_receipt"),
    # One follower's events, newest first; the refold of one follower.
    models.Index(fields=["openid", "id"], name="event_openid", condition=~models.Q(openid="")),
    # One kind's events, newest first; the list of kinds that occur.
    models.Index(fields=["kind", "id"], name="event_kind"),
    # One scene's follows and scans.
    models.Index(fields=["scene", "id"], name="event_scene", condition=~models.Q(scene="")),
    # One menu key or URL. EventKey has no length limit, an index entry has.
    models.Index(
        EventKeyPrefix("event_key"),
        "id",
        name="event_key_prefix",
        condition=~models.Q(event_key=""),
    ),
    # The rows that the worker takes next.
    models.Index(
        fields=["next_attempt_at"],
        name="event_due",
        condition=models.Q(next_attempt_at__isnull=False),
    ),
    # The rows that WeChat pushed more than once: statistics.
    models.Index(
        fields=["received_at"],
        name="event_repeated",
        condition=models.Q(delivery_count__gt=1),
    ),
    # The events with trouble, for operators.
    models.Index(
        fields=["status", "id"],
        name="event_status",
        condition=~models.Q(status="processed"),
    ),
    # The mended events.
    models.Index(fields=["id"], name="event_mended", condition=models.Q(mended=True)),
    # The answers that wait for the follower's next message.
    models.Index(
        fields=["openid"],
        name="event_kept_answer",
        condition=models.Q(answered_by="kept"),
    ),
    # Answers that did not go out in the usual way, among them those that reached nobody.
    models.Index(
        fields=["answered_by", "id"],
        name="event_answered_by",
        condition=~models.Q(answered_by__in=["", "reply"]),
    ),
    # Answers for which WeChat's first try came too early.
    models.Index(
        fields=["id"],
        name="event_answered_late",
        condition=models.Q(AnsweredLate("answered_at", "received_at")),
    ),
]
