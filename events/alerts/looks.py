"""The checks of accounts, keys and disks for alerts. Every query has a limit."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from django.db.models import F, Sum

from events.alerts.rules import Condition, sees
from events.doctor.examine import disks_short_of_space
from events.limits import Limits
from events.models import (
    Alert,
    ApiKey,
    CallbackRefusal,
    EventLog,
    HealthCount,
    OfficialAccount,
    SharedAccessToken,
)
from events.stats.reading.rhythm import Pulse, Rhythm, last_hour_with_pushes, rhythms

__all__: list[str] = []

_LATE, _DOWN = Alert.Level.LATE, Alert.Level.DOWN
_MINUTE = datetime.timedelta(minutes=1)
_HOUR = datetime.timedelta(hours=1)
_DAY = datetime.timedelta(days=1)
# The most rows among which to search the last push, because rows of a sync may lie between.
_LATEST = 500
_MOST_DEAD = 1000
# Fewer answers than this prove nothing.
_ANSWERS = 20


@sees("silence")
def _silent_accounts(now: datetime.datetime) -> Iterable[Condition]:
    active = list(OfficialAccount.objects.filter(is_active=True).values_list("pk", flat=True))
    usual, limits = rhythms(active, now), Limits()
    for pk in active:
        last = _last_push(pk, now)
        rhythm = usual.get(pk, Rhythm())
        late, silent = limits.of("silence_late", pk), limits.of("silence_down", pk)
        pulse = rhythm.pulse(last, now, late=late, silent=silent)
        if last is not None and pulse in {Pulse.LATE, Pulse.SILENT}:
            details: dict[str, str | int] = {
                "minutes": int((now - last) / _MINUTE),
                "usual": round(rhythm.expected(last, now)),
            }
            yield Condition("silence", _LATE if pulse is Pulse.LATE else _DOWN, pk, details)


def _last_push(account_id: int, now: datetime.datetime) -> datetime.datetime | None:
    rows = EventLog.objects.filter(account=account_id).order_by("-pk")
    newest = list(rows.values_list("source", "received_at")[:_LATEST])
    for source, received_at in newest:
        if source == EventLog.Source.CALLBACK:
            return received_at
    if len(newest) < _LATEST:
        return None
    # A large sync came after the last push, which the roll-ups know only to the hour. Take the end
    # of that hour, so that no account seems silent too early.
    began = last_hour_with_pushes(account_id, now)
    return None if began is None else min(began + _HOUR, now)


@sees("refusals")
def _refused_accounts(now: datetime.datetime) -> Iterable[Condition]:
    accounts = dict(OfficialAccount.objects.values_list("slug", "pk"))
    numbers: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    rows = (
        CallbackRefusal.objects.filter(minute__gt=now - 10 * _MINUTE, account__in=accounts)
        .order_by()
        .values_list("account", "reason")
        .annotate(times=Sum("number"))
        .order_by("-times")
    )
    for slug, reason, times in rows:
        numbers[slug] += times
        reasons.setdefault(slug, reason)
    limits = Limits()
    for slug, number in numbers.items():
        if number >= limits.of("refusals", accounts[slug]):
            details: dict[str, str | int] = {"number": number, "reason": reasons[slug]}
            yield Condition("refusals", _DOWN, accounts[slug], details)


@sees("dead")
def _dead_events(now: datetime.datetime) -> Iterable[Condition]:
    dead = EventLog.objects.with_status(EventLog.Status.DEAD).order_by("-pk")
    newest = dead.values_list("account", "received_at")[:_MOST_DEAD]
    limits = Limits()
    for pk, number in Counter(account for account, at in newest if at > now - _DAY).items():
        if number >= limits.of("dead", pk):
            yield Condition("dead", _LATE, pk, {"number": number})


@sees("late_answers")
def _late_answers(now: datetime.datetime) -> Iterable[Condition]:
    # The counts are by clock hour, so read this hour and the one before. A new hour alone has few
    # answers: the check would find no fault, and the alert of a lasting fault would end.
    rows = (
        HealthCount.objects.filter(start__gt=now - 120 * _MINUTE)
        .order_by()
        .values_list("account")
        .annotate(number=Sum("answered"), late=Sum(F("answered") - F("within_5s")))
    )
    limits = Limits()
    for pk, answered, late in rows:
        if answered >= _ANSWERS and 100 * late > answered * limits.of("late_answers", pk):
            yield Condition("late_answers", _LATE, pk, {"answered": answered, "late": late})


@sees("token")
def _refused_tokens(now: datetime.datetime) -> Iterable[Condition]:
    for row in _failed_tokens():
        # A single failure may pass without help.
        is_lasting = row.failures >= 2 or row.failure == "credentials"
        if row.failure != "address" and is_lasting:
            yield Condition("token", _DOWN, row.pk, {"reason": row.failure_message[:200]})


@sees("ip_list")
def _refused_addresses(now: datetime.datetime) -> Iterable[Condition]:
    for row in _failed_tokens():
        if row.failure == "address":
            found = re.search(r"invalid ip (?:::ffff:)?([0-9a-fA-F.:]+)", row.failure_message)
            address = found.group(1) if found else "?"
            yield Condition("ip_list", _DOWN, row.pk, {"address": address})


def _failed_tokens() -> Iterator[SharedAccessToken]:
    rows = SharedAccessToken.objects.filter(account__is_active=True).defer("access_token")
    return rows.exclude(failure__in=["", "no_app_secret", "inactive"]).iterator()


@sees("api_key")
def _expiring_keys(now: datetime.datetime) -> Iterable[Condition]:
    until = now + Limits().of("api_key") * _DAY
    soon = ApiKey.objects.filter(
        revoked_at=None, expires_at__gt=now, expires_at__lt=until
    ).order_by("expires_at")
    first = soon.first()
    if first is not None and first.expires_at is not None:
        days = (first.expires_at - now).days
        details: dict[str, str | int] = {"number": soon.count(), "days": days, "name": str(first)}
        yield Condition("api_key", _LATE, None, details)


@sees("disk")
def _full_disks(now: datetime.datetime) -> Iterable[Condition]:
    for folder, percent in disks_short_of_space()[:1]:
        yield Condition("disk", _DOWN, None, {"folder": str(folder), "percent": percent})
