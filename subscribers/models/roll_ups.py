"""The tables of follower statistics: roll-ups of the log that the worker keeps."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from events.models import OfficialAccount

__all__ = ["FollowingChange", "FollowingInterval", "SceneAct"]


class FollowingInterval(models.Model):
    """From when to when a person followed an account, by the log as it is known now.

    A person has as many as there were spells of following; they do not touch. `ended_at` is the
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
    """How many more people followed at the end of an hour or day than at its beginning."""

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
    """A follow or scan through a QR code. Binding codes are left out."""

    # Without a constraint, as the log is partitioned and pruned.
    event_id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    at = models.DateTimeField()
    scene = models.CharField(max_length=64)
    openid = models.CharField(max_length=64)
    is_follow = models.BooleanField()

    class Meta:
        indexes = [
            # All that the statistics of codes read, in the order of time.
            models.Index(
                fields=["account", "at", "scene", "openid", "is_follow"], name="scene_act_by_time"
            ),
            models.Index(fields=["openid"], name="scene_act_openid"),
        ]

    def __str__(self) -> str:
        return f"{self.scene} at {self.at}"
