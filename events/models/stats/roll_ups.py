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
    # Counts the transactions, so that who has read without a lock sees that others have written.
    turn = models.BigIntegerField(default=0)
    # Repetitions of pushes that were received before this are counted for good.
    repeats_until = models.DateTimeField(null=True)
    # Whether texts were counted by day that had been kept before there were such counts.
    has_texts = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"up to #{self.last_id}"


class AccountStatistics(models.Model):
    """What one account's roll-ups rest on."""

    account = models.OneToOneField(OfficialAccount, on_delete=models.CASCADE, primary_key=True)
    # The zone whose hours, days, weeks and months the counts are of.
    time_zone = models.CharField(max_length=64)
    # Retention removed events up to here: what is counted before this moment stands still.
    frozen_before = models.DateTimeField(null=True)
    # For events from here on `LastSeen` knows whether the person is new in a period.
    seen_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"account {self.account_id}"

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)


class Series(models.Model):
    """What is counted: the events of one kind, or of one kind and key.

    `key` is a menu's EventKey or a scene, "" for the whole kind. The kind "message" stands for all
    kinds of messages together.
    """

    account = models.ForeignKey(OfficialAccount, on_delete=models.CASCADE, db_index=False)
    kind = models.CharField(max_length=64)
    key = models.TextField(blank=True)
    # Of the key: an index entry of PostgreSQL has a limit, an EventKey has none.
    digest = models.CharField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "kind", "digest"], name="series_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}".strip()


class PeriodCount(models.Model):
    """The events of a series in one hour, day, week or month of the account's time zone.

    `start` is the moment at which the period begins. `people` are distinct. `answered` and
    `unanswered` count the events that expect an answer and have an outcome; `waited_ms` is the time
    until their answers, summed up.
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
    """When a person last did what a series counts, so that people are counted once a period."""

    series = models.ForeignKey(Series, on_delete=models.CASCADE, db_index=False)
    openid = models.CharField(max_length=64)
    # In microseconds since 1970, which is read and written quicker than a time. No index has it, so
    # PostgreSQL writes it without touching one.
    at = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["openid", "series"], name="last_seen_once")]

    def __str__(self) -> str:
        return f"series {self.series_id}"


class OpenEvent(models.Model):
    """A counted event whose outcome may still change, and how it was counted."""

    # Without a constraint, as the log is partitioned and pruned.
    event_id = models.BigIntegerField(primary_key=True)
    event_time = models.DateTimeField()
    status = models.CharField(max_length=10)
    is_folded = models.BooleanField()
    outcome = models.CharField(max_length=10, blank=True)
    look_again_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"event {self.event_id}"


class HealthCount(models.Model):
    """How the pushes fared that an account received in one hour of its time zone.

    `within_1s` and `within_5s` of `answered` had their answer in that time after the receipt.
    `repeated` are the deliveries after the first.
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
    """A message or menu tap of the last months that nobody has answered.

    `text` begins a text message that no rule matched; it is "" for all else.
    """

    TEXT_LENGTH = 100

    # Without a constraint, as the log is partitioned and pruned.
    event_id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey(OfficialAccount, on_delete=models.CASCADE, db_index=False)
    event_time = models.DateTimeField()
    kind = models.CharField(max_length=64)
    openid = models.CharField(max_length=64)
    text = models.CharField(max_length=TEXT_LENGTH, blank=True)

    class Meta:
        indexes = [
            # All that the statistics of texts read, in the order of time.
            models.Index(fields=["account", "event_time", "text"], name="unanswered_by_time"),
            models.Index(fields=["openid"], name="unanswered_openid"),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id}"


class UnmatchedDay(models.Model):
    """How often a text that no rule matched came on one day, from how many people, and when last.

    It is counted from the rows of UnansweredEvent that have the text.
    """

    account = models.ForeignKey(OfficialAccount, on_delete=models.CASCADE, db_index=False)
    # As in PeriodCount.
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
