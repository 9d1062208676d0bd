"""The tables of the naive peer: a log of events, and followers."""

from __future__ import annotations

from django.db import models


class EventLog(models.Model):
    openid = models.CharField(max_length=64, db_index=True)
    msg_type = models.CharField(max_length=32)
    event = models.CharField(max_length=64, blank=True)
    event_key = models.CharField(max_length=256, blank=True)
    msg_id = models.CharField(max_length=32, blank=True)
    create_time = models.DateTimeField(db_index=True)
    raw = models.TextField()
    received_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.msg_type} {self.event}"


class Subscriber(models.Model):
    openid = models.CharField(max_length=64, unique=True)
    is_following = models.BooleanField(default=True)
    followed_at = models.DateTimeField(null=True)
    unfollowed_at = models.DateTimeField(null=True)
    last_seen_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.openid
