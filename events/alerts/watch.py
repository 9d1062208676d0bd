"""Compares the present faults with the open alerts: begins, worsens and ends them.

A fault that comes and goes is one alert. The alert ends only after some time without the fault, and
this time is longer if the fault came back several times within a day.
"""

from __future__ import annotations

import datetime
import logging
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from events.alerts.quiet import when_to_send
from events.alerts.rules import RULES, Condition, looks
from events.models import Alert, AlertChannel, AlertMessage

__all__ = ["begin", "watch"]

logger = logging.getLogger(__name__)

_DAY = datetime.timedelta(days=1)
_KEPT = 365 * _DAY
_LONGEST_CALM = datetime.timedelta(hours=2)
_About = AlertMessage.About


def watch(now: datetime.datetime | None = None) -> int:
    """Checks every rule once; returns how many alerts began, worsened or ended.

    It also removes alerts that ended over a year ago.
    """
    now = now or timezone.now()
    changed = 0
    found: dict[tuple[str, int | None], Condition] = {}
    failed: set[str] = set()
    for rule, look in looks().items():
        try:
            found |= {(each.rule, each.account_id): each for each in look(now)}
        except Exception:
            # A rule that cannot be checked must not end its alerts.
            logger.exception("The check of the alert rule %r failed", rule)
            failed.add(rule)
    for condition in found.values():
        changed += begin(condition, now)
    for alert in Alert.objects.filter(ended_at=None).exclude(rule__in=failed):
        is_over = (alert.rule, alert.account_id) not in found
        if is_over and now - alert.last_seen_at >= _required_calm(alert, now):
            changed += _end(alert, now)
    Alert.objects.filter(ended_at__lt=now - _KEPT).delete()
    return changed


def begin(condition: Condition, now: datetime.datetime) -> int:
    """Opens an alert, or notes that it lasts; returns 1 if it began or worsened."""
    key: dict[str, Any] = {"rule": condition.rule, "account_id": condition.account_id}
    details = dict(condition.details)
    with transaction.atomic():
        alert = Alert.objects.select_for_update().filter(ended_at=None, **key).first()
        if alert is None:
            return _open(condition, now)
        is_worse = alert.level == Alert.Level.LATE and condition.level == Alert.Level.DOWN
        columns: dict[str, Any] = {"last_seen_at": now}
        if is_worse or alert.level == condition.level:
            # The alert keeps its worst level and its details until it is over.
            columns |= {"level": condition.level, "details": details}
        Alert.objects.filter(pk=alert.pk).update(**columns)
        if is_worse:
            alert.level = condition.level
            _queue_messages(alert, _About.WORSE, now)
        return int(is_worse)


def _open(condition: Condition, now: datetime.datetime) -> int:
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                rule=condition.rule,
                account_id=condition.account_id,
                level=condition.level,
                details=dict(condition.details),
                began_at=now,
                last_seen_at=now,
            )
    except IntegrityError:
        return 0  # another process has begun it this moment
    _queue_messages(alert, _About.BEGINNING, now)
    return 1


def _end(alert: Alert, now: datetime.datetime) -> int:
    with transaction.atomic():
        if not Alert.objects.filter(pk=alert.pk, ended_at=None).update(ended_at=now):
            return 0
        _queue_messages(alert, _About.END, now)
    return 1


def _queue_messages(alert: Alert, about: AlertMessage.About, now: datetime.datetime) -> None:
    is_urgent = alert.level == Alert.Level.DOWN and about != _About.END
    channels = AlertChannel.objects.filter(is_active=True).defer("url")
    if about == _About.END:
        told = alert.messages.exclude(about=about).values("channel")
        channels = channels.filter(pk__in=told)
    if about == _About.WORSE:
        # If the message about the beginning still waits, one about the worse level is enough.
        alert.messages.filter(about=_About.BEGINNING, sent_at=None).update(due_at=None)
    AlertMessage.objects.bulk_create(
        [
            AlertMessage(
                alert=alert,
                channel=channel,
                about=about,
                due_at=when_to_send(channel, now, is_urgent=is_urgent),
            )
            for channel in channels
        ],
        ignore_conflicts=True,
    )


def _required_calm(alert: Alert, now: datetime.datetime) -> datetime.timedelta:
    rule = RULES.get(alert.rule)
    if rule is None:
        return datetime.timedelta()
    lately = Alert.objects.filter(rule=alert.rule, account_id=alert.account_id)
    times = lately.filter(began_at__gt=now - _DAY).exclude(pk=alert.pk).count()
    calm: datetime.timedelta = rule.calm * 2 ** min(times, 10)
    return min(calm, _LONGEST_CALM)
