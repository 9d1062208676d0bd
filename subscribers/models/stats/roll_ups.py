"""The tables of follower statistics: roll-ups of the log that the worker keeps up to date."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from events.models import OfficialAccount

__all__ = [
    "FollowWay",
    "FollowerMonth",
    "FollowingChange",
    "FollowingInterval",
    "SceneAct",
    "SourceDay",
    "SourceProgress",
]

# The value of `stayed` if the person did not follow at that moment, by the log.
NEVER = -1


class FollowingInterval(models.Model):
    """An interval in which a person followed an account, by the log as it is known now.

    A person has one row for each such interval; the intervals do not touch. `ended_at` is the
    unfollow, None while the person follows.
    """

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    openid = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["openid", "account", "started_at"], name="following_interval_once"
            ),
            models.CheckConstraint(
                name="following_interval_lasts",
                condition=Q(ended_at=None) | Q(ended_at__gt=models.F("started_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.started_at} – {self.ended_at}"


class FollowingChange(models.Model):
    """By how many people the number of followers grew in an hour or day; negative if it fell."""

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    # As in PeriodCount: "h" or "d".
    period = models.CharField(max_length=1)
    start = models.DateTimeField()
    more = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "period", "start"], name="following_change_once"
            )
        ]

    def __str__(self) -> str:
        return f"account {self.account_id} {self.start}: {self.more:+}"


class SceneAct(models.Model):
    """A follow or scan by a QR code. Binding codes are left out.

    The row also keeps what follows from the person's other acts, so that the counts in `SourceDay`
    can be changed by the difference (subscribers/stats/counting/source_days.py).
    """

    # No foreign key, because the log is partitioned and old months leave it.
    event_id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    at = models.DateTimeField()
    scene = models.CharField(max_length=64)
    openid = models.CharField(max_length=64)
    is_follow = models.BooleanField()
    # When the same person came by this code the time before, and when they followed by it before.
    former_at = models.DateTimeField(null=True)
    former_follow_at = models.DateTimeField(null=True)
    # For how many whole days the person followed from then on; None while the person still follows.
    stayed = models.IntegerField(null=True, default=NEVER)
    # For a follow: whether it was the person's very first follow.
    is_first = models.BooleanField(default=False)
    # What holds for the person now.
    is_following = models.BooleanField(default=False)
    is_bound = models.BooleanField(default=False)

    class Meta:
        indexes = [
            # All columns that the statistics of codes read, in the order of time.
            models.Index(
                fields=["account", "at", "scene", "openid", "is_follow"], name="scene_act_by_time"
            ),
            models.Index(fields=["openid"], name="scene_act_openid"),
            # Finds people who came by a code more than once: they count once in a span.
            models.Index(
                fields=["account", "former_at"],
                name="scene_act_again",
                condition=~Q(former_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scene} at {self.at}"


class FollowWay(models.Model):
    """A person's last follow, if no QR code led to it. `way` is WeChat's word, "" if unknown."""

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    openid = models.CharField(max_length=64)
    at = models.DateTimeField()
    way = models.CharField(max_length=64, blank=True)
    # As in SceneAct.
    stayed = models.IntegerField(null=True, default=NEVER)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["openid", "account"], name="follow_way_once")
        ]
        indexes = [models.Index(fields=["account", "at"], name="follow_way_by_time")]

    def __str__(self) -> str:
        return f"{self.way or '?'} at {self.at}"


class SourceDay(models.Model):
    """Counts of one day's acts by a QR code, or of its follows by one way.

    `scene` is "" for a way of following; `way` is "" for a code, and if WeChat names no way.
    `first_followers` counts follows that were the person's first, `following` and `bound` follows
    of people who follow, or are bound, now. `staying` counts follows since which the person has not
    left, `stayed_…` follows after which the person followed for more than so many days.
    """

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    # As in PeriodCount.
    start = models.DateTimeField()
    scene = models.CharField(max_length=64, blank=True)
    way = models.CharField(max_length=64, blank=True)
    acts = models.BigIntegerField(default=0)
    follows = models.BigIntegerField(default=0)
    first_followers = models.BigIntegerField(default=0)
    following = models.BigIntegerField(default=0)
    bound = models.BigIntegerField(default=0)
    staying = models.BigIntegerField(default=0)
    stayed_1 = models.BigIntegerField(default=0)
    stayed_7 = models.BigIntegerField(default=0)
    stayed_30 = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "start", "scene", "way"], name="source_day_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.scene or self.way or '?'} {self.start}"


class SourceProgress(models.Model):
    """Up to where changes of bindings and of ways of following are counted. There is one row.

    The numbers are those of RowChange, for its types "binding" and "way".
    """

    binding = models.BigIntegerField(default=0)
    way = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"bindings up to {self.binding}, ways up to {self.way}"


class FollowerMonth(models.Model):
    """How often a person acted in one month of the account's calendar, and on which days.

    `days` has the days with events and their numbers, such as "3:2 17:1".
    """

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    openid = models.CharField(max_length=64)
    # The month's first day. It is a date: a new time zone must not move months that can no longer
    # be counted.
    month = models.DateField()
    events = models.IntegerField(default=0)
    days = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["openid", "account", "month"], name="follower_month_once"
            )
        ]
        indexes = [
            # The most active followers of a month.
            models.Index(
                fields=["account", "month", "-events", "openid"], name="follower_month_top"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.events} in {self.month}"
