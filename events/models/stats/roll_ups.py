"""The tables of statistics: roll-ups of the log that the worker keeps (events/stats/)."""

from __future__ import annotations

import zoneinfo

from django.db import models

from events.models.account import OfficialAccount

__all__ = [
    "AccountStatistics",
    "HealthCount",
    "LastSeen",
    "OpenEvent",
    "PeriodCount",
    "Series",
    "StatisticsProgress",
    "UnansweredEvent",
    "UnmatchedDay",
]


class StatisticsProgress(models.Model):
    """How far the log is counted: every row up to `last_id` is in the roll-ups.

    There is one row. A process that writes a roll-up locks it first.
    """

    last_id = models.BigIntegerField(default=0)
    # Counts the transactions. A process that reads without a lock sees by it that others wrote.
    turn = models.BigIntegerField(default=0)
    # The counts of repeated pushes that were received before this time are final.
    repeats_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"up to #{self.last_id}"


class AccountStatistics(models.Model):
    """The conditions of one account's roll-ups."""

    account = models.OneToOneField(OfficialAccount, on_delete=models.CASCADE, primary_key=True)
    # The zone in which hours, days, weeks and months are counted.
    time_zone = models.CharField(max_length=64)
    # Retention removed events before this time, so the counts before it never change.
    frozen_before = models.DateTimeField(null=True)
    # For events from this time on, `LastSeen` knows whether the person is new in a period.
    seen_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"account {self.account_id}"

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)


class Series(models.Model):
    """A counted set of events: those of one kind, or of one kind and key.

    `key` is a menu's EventKey or a scene, "" for the whole kind. `stats.messages` stands for
    all kinds of messages together.
    """

    account = models.ForeignKey(OfficialAccount, on_delete=models.CASCADE, db_index=False)
    kind = models.CharField(max_length=64)
    key = models.TextField(blank=True)
    # A digest of the key, because PostgreSQL's index entries have a size limit and EventKeys none.
    digest = models.CharField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "kind", "digest"], name="series_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}".strip()


class PeriodCount(models.Model):
    """The events of a series in one hour, day, week or month of the account's time zone.

    `start` is when the period begins. `people` counts distinct people. `answered` and `unanswered`
    count the events that expect an answer and have an outcome; `waited_ms` is the sum of the times
    until their answers.
    """

    class Period(models.TextChoices):
        HOUR = "h"
        DAY = "d"
        WEEK = "w"
        MONTH = "m"

    series = models.ForeignKey(Series, on_delete=models.CASCADE, db_index=False)
    period = models.CharField(max_length=1, choices=Period.choices)
    start = models.DateTimeField()
    events = models.BigIntegerField(default=0)
    people = models.BigIntegerField(default=0)
    answered = models.BigIntegerField(default=0)
    unanswered = models.BigIntegerField(default=0)
    waited_ms = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "period", "start"], name="period_count_once")
        ]

    def __str__(self) -> str:
        return f"series {self.series_id} {self.period} {self.start}"


class LastSeen(models.Model):
    """When a person last caused an event of a series, so that a period counts each person once."""

    series = models.ForeignKey(Series, on_delete=models.CASCADE, db_index=False)
    openid = models.CharField(max_length=64)
    # In microseconds since 1970, which is quicker to read and write than a time. No index contains
    # it, so PostgreSQL changes it without changing an index.
    at = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["openid", "series"], name="last_seen_once")]

    def __str__(self) -> str:
        return f"series {self.series_id}"


class OpenEvent(models.Model):
    """A counted event whose outcome may still change, and how it was counted."""

    # No foreign key, because the log is partitioned and pruned.
    event_id = models.BigIntegerField(primary_key=True)
    event_time = models.DateTimeField()
    status = models.CharField(max_length=10)
    is_folded = models.BooleanField()
    outcome = models.CharField(max_length=10, blank=True)
    look_again_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"event {self.event_id}"


class HealthCount(models.Model):
    """What became of the pushes that an account received in one hour of its time zone.

    `within_1s` and `within_5s` count those of `answered` whose answer came within that time after
    the receipt. `repeated` counts the deliveries after the first.
    """

    account = models.ForeignKey(OfficialAccount, on_delete=models.CASCADE, db_index=False)
    start = models.DateTimeField()
    received = models.BigIntegerField(default=0)
    answered = models.BigIntegerField(default=0)
    within_1s = models.BigIntegerField(default=0)
    within_5s = models.BigIntegerField(default=0)
    unanswered = models.BigIntegerField(default=0)
    repeated = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    mended = models.BigIntegerField(default=0)
    unreadable = models.BigIntegerField(default=0)
    quarantined = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "start"], name="health_count_once")
        ]

    def __str__(self) -> str:
        return f"account {self.account_id} {self.start}"


class UnansweredEvent(models.Model):
    """A message or menu tap of the last months that got no answer.

    `text` is the beginning of a text message that no rule matched; for other events it is "".
    """

    TEXT_LENGTH = 100

    # No foreign key, because the log is partitioned and pruned.
    event_id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey(OfficialAccount, on_delete=models.CASCADE, db_index=False)
    event_time = models.DateTimeField()
    kind = models.CharField(max_length=64)
    openid = models.CharField(max_length=64)
    text = models.CharField(max_length=TEXT_LENGTH, blank=True)

    class Meta:
        indexes = [
            # All columns that the statistics of texts read, in the order of time.
            models.Index(fields=["account", "event_time", "text"], name="unanswered_by_time"),
            models.Index(fields=["openid"], name="unanswered_openid"),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id}"


class UnmatchedDay(models.Model):
    """How often a text that no rule matched came on one day, from how many people, and when last.

    The worker counts it from the rows of UnansweredEvent with this text.
    """

    account = models.ForeignKey(OfficialAccount, on_delete=models.CASCADE, db_index=False)
    # The beginning of the day, as in PeriodCount.
    start = models.DateTimeField()
    text = models.CharField(max_length=UnansweredEvent.TEXT_LENGTH)
    messages = models.BigIntegerField()
    people = models.BigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "start", "text"], name="unmatched_day_once")
        ]

    def __str__(self) -> str:
        return f"{self.messages} on {self.start}"
