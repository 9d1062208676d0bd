"""The parts of the dashboard on latest events, what needs attention, and last pushes."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from events.admin.event_columns import STATUS_COLOURS
from events.admin.html import menu_name
from events.admin.list_filters import AnswerFilter
from events.kinds import KINDS, label
from events.menus.names import MenuNames
from events.models import EventLog, OfficialAccount, with_account
from events.models.event_log import EventLogQuerySet
from events.stats.reading.rhythm import last_hour_with_pushes
from events.viewer import account_ids, shown_openid
from events.wechat.api import NotPermitted
from subscribers.models import FollowerSync, ProfileFetch
from subscribers.qr_codes.code_names import CodeNames
from wechat_site.admin.dashboard.choice import Choice
from wechat_site.admin.dashboard.links import account_url, list_url

__all__ = ["attention", "last_pushes", "latest_events", "syncs", "unknown_kinds"]

_LATEST = 20
# The most observations of WeChat's answers that the search for an account's last push skips.
_OBSERVATIONS = 500
# The page shows larger numbers as "99+"; counting up to this is cheap.
_COUNTED_UP_TO = 99
_TOLD_FOR = datetime.timedelta(days=7)


def latest_events(choice: Choice, now: datetime.datetime) -> list[dict[str, Any]]:
    """The latest events of the accounts that are shown, as the template shows them."""
    events = with_account(EventLog.objects.all())
    if choice.chosen:
        latest = _up_to(events, choice.chosen.pk, now)
    else:
        latest = _events_of(events, choice).newest_first()
    shown = [
        event
        for event in latest[:_LATEST]
        if choice.chosen is None or event.account == choice.chosen
    ]
    names = MenuNames.for_events(shown)
    codes = CodeNames((event.account_id for event in shown), (event.scene for event in shown))
    return [_row(event, names, codes) for event in shown]


def _events_of(events: EventLogQuerySet, choice: Choice) -> EventLogQuerySet:
    """Events of the accounts that are shown.

    The addition of 0 keeps the planner from the account's index: by that, SQLite would read all
    events of an account to find a few with trouble, or sort them to find the newest.
    """
    return events.alias(of=F("account_id") + 0).filter(of__in=choice.ids)


def unknown_kinds(user: Any) -> list[tuple[str, str]]:
    """Kinds that this site does not know, each with the address of its events."""
    if account_ids(user) is not None:
        # The list of kinds is kept for all accounts together, so users with a limit get none.
        return []
    return [
        (kind, list_url("events", "eventlog", kind=kind))
        for kind in EventLog.objects.kinds()
        if kind not in KINDS
    ]


def _up_to(events: QuerySet[EventLog], account: Any, now: datetime.datetime) -> QuerySet[EventLog]:
    """An account's events, newest first, and after them those of accounts made before it.

    Only the index on account and event time has this order. With `account=` the planner may walk
    back through all newer events of other accounts, which takes seconds if the account has been
    silent for long. Events after `now` are left out: if WeChat's clock runs ahead, they would hide
    that no pushes come any more.
    """
    before_now = events.filter(account__lte=account, event_time__lte=now)
    return before_now.order_by("-account_id", "-event_time")


def last_pushes(
    accounts: Sequence[OfficialAccount], now: datetime.datetime
) -> dict[int, datetime.datetime | None]:
    """When each account had its latest push, with one look into the index for each account."""
    newest = _up_to(EventLog.objects.all(), OuterRef("pk"), now)
    rows = OfficialAccount.objects.filter(pk__in=[account.pk for account in accounts]).values_list(
        "pk",
        Subquery(newest.values("account")[:1]),
        Subquery(newest.values("event_time")[:1]),
        Subquery(newest.values("source")[:1]),
    )
    found: dict[int, datetime.datetime | None] = {}
    for pk, account_id, event_time, source in rows:
        if account_id != pk:
            found[pk] = None
        elif source == EventLog.Source.CALLBACK:
            found[pk] = event_time
        else:
            # The newest row is an answer to our own question, and says nothing about pushes.
            found[pk] = _last_push(pk, now)
    return found


def _last_push(account_id: int, now: datetime.datetime) -> datetime.datetime | None:
    events = EventLog.objects.only("account", "source", "event_time")
    for event in _up_to(events, account_id, now)[:_OBSERVATIONS]:
        if event.account_id == account_id and event.source == EventLog.Source.CALLBACK:
            return event.event_time
    # A large sync came after it.
    return last_hour_with_pushes(account_id, now)


def _row(event: EventLog, names: MenuNames, codes: CodeNames) -> dict[str, Any]:
    return {
        "url": reverse("admin:events_eventlog_change", args=[event.pk]),
        "time": event.event_time.astimezone(event.account.zone),
        "account": event.account.name,
        "kind": label(event.kind),
        "openid": shown_openid(event.openid),
        "menu_name": menu_name(names.of(event)),
        "key": event.masked(codes.in_words(event.account_id, event.scene) or event.event_key),
        "status": event.get_status_display(),
        "colour": STATUS_COLOURS[EventLog.Status(event.status)],
    }


def attention(choice: Choice) -> list[dict[str, Any]]:
    """The numbers of events with trouble, counted up to a limit."""
    events = _events_of(EventLog.objects.all(), choice)
    account = choice.chosen.slug if choice.chosen else ""
    counted = []
    for status in (
        EventLog.Status.FAILED,
        EventLog.Status.DEAD,
        EventLog.Status.UNREADABLE,
        EventLog.Status.QUARANTINED,
    ):
        number = _number(events.with_status(status))
        if number:
            counted.append(
                {
                    "status": status.label,
                    "colour": STATUS_COLOURS[status],
                    "number": number,
                    "url": list_url("events", "eventlog", status=status.value, account=account),
                }
            )
    number = _number(events.unanswered())
    if number:
        filters = {"answered_by": AnswerFilter.UNANSWERED, "account": account}
        counted.append(
            {
                "status": _("unanswered"),
                "colour": "warning",
                "number": number,
                "url": list_url("events", "eventlog", **filters),
            }
        )
    return counted


def _number(events: Any) -> str:
    number = len(events.values_list("pk", flat=True)[: _COUNTED_UP_TO + 1])
    return f"{_COUNTED_UP_TO}+" if number > _COUNTED_UP_TO else str(number or "")


def syncs(choice: Choice, now: datetime.datetime) -> list[dict[str, Any]]:
    """Accounts whose last follower sync failed, or whose followers WeChat lately refused."""
    of_interest = {account.pk: account for account in choice.shown}
    # A refusal has its own words below, and only for some days, since operators may be unable to
    # change it.
    failed = FollowerSync.objects.open().failed().exclude(failure=NotPermitted.label)
    refused = ProfileFetch.objects.failed().filter(
        failure=NotPermitted.label, failed_at__gt=now - _TOLD_FOR
    )
    return [
        *(
            {
                "status": _("Follower sync failed:"),
                "colour": "danger",
                "number": of_interest[sync.account_id].name,
                "url": reverse("admin:subscribers_followersync_change", args=[sync.pk]),
            }
            for sync in failed.filter(account__in=of_interest)
        ),
        *(
            {
                "status": _("Followers not accessible (48001):"),
                "colour": "warning",
                "number": of_interest[fetch.pk].name,
                "url": account_url(fetch.pk),
            }
            for fetch in refused.filter(account__in=of_interest)
        ),
    ]
