"""The operators' first page: how many follow, who came and left, and what happened last."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.admin.api_keys import ending_keys
from events.admin.event_log import STATUS_COLOURS
from events.admin.filters import AnswerFilter
from events.admin.html import menu_name
from events.audit.record import record_look_at_list
from events.db.cached_count import cached_count
from events.kinds import KINDS, label
from events.menus.names import MenuNames
from events.models import ACCOUNT_SECRETS, EventLog, OfficialAccount, with_account
from events.viewer import account_ids, shown_openid, visible_to
from events.wechat.api import NotPermitted
from subscribers.models import FollowerSync, ProfileFetch, Subscriber

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["dashboard"]

# Days before today with which each period begins.
_PERIODS: dict[int, StrOrPromise] = {0: _("Today"), 6: _("Last 7 days"), 29: _("Last 30 days")}
_LATEST = 20
# So many answers of the platform are passed over in search of an account's last push.
_OBSERVATIONS = 500
# "99+" is all an operator needs to know, and it keeps the question cheap.
_COUNTED_UP_TO = 99
_TOLD_FOR = datetime.timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Period:
    """New and cancelled followers since a business day began, as distinct people."""

    name: StrOrPromise
    new: int
    cancelled: int

    @property
    def net(self) -> int:
        return self.new - self.cancelled


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds the figures, of one account with ``?account=``, otherwise of all together."""
    now = timezone.now()
    user = request.user
    # Users without a right to anything of an account do not learn which accounts there are.
    may_know = any(
        user.has_perm(right)
        for right in (
            "events.view_officialaccount",
            "events.view_eventlog",
            "subscribers.view_subscriber",
            "subscribers.view_followersync",
        )
    )
    accounts = _accounts(user, now) if may_know else []
    chosen = next((a for a in accounts if a.slug == request.GET.get("account")), None)
    followers = visible_to(user, Subscriber.objects.all())
    events = visible_to(user, with_account(EventLog.objects.all()))
    latest: QuerySet[EventLog] = events.newest_first()
    if chosen:
        latest = _up_to(events, chosen.pk, now)
        followers, events = followers.filter(account=chosen), events.filter(account=chosen)
    else:
        # With its leading column bound, an index that begins with the account serves all accounts.
        followers = followers.filter(account__in=accounts)
    zone = chosen.zone if chosen else timezone.get_current_timezone()
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if request.user.has_perm("subscribers.view_subscriber"):
        counted = cached_count(
            f"followers of {chosen.pk if chosen else _whose(user)} on {today.isoformat()}",
            lambda: (
                followers.filter(is_following=True).count(),
                [_numbers(followers, today - datetime.timedelta(days=days)) for days in _PERIODS],
            ),
            rows=lambda numbers: numbers[0],
        )
        context["followers"], numbers = counted.value
        context["periods"] = [
            Period(name, new, cancelled)
            for name, (new, cancelled) in zip(_PERIODS.values(), numbers, strict=True)
        ]
        context["counted_at"] = counted.counted_at and counted.counted_at.astimezone(zone)
    if request.user.has_perm("events.view_eventlog"):
        record_look_at_list(EventLog, ["dashboard"])
        shown = [event for event in latest[:_LATEST] if chosen in {None, event.account}]
        names = MenuNames.for_events(shown)
        context["latest"] = [_row(event, names) for event in shown]
        context["attention"] = _attention(events, chosen)
        # What occurs is known of all accounts together only.
        kinds = EventLog.objects.kinds() if account_ids(user) is None else []
        context["unknown_kinds"] = [
            (kind, _log_url(kind=kind)) for kind in kinds if kind not in KINDS
        ]
    if request.user.has_perm("subscribers.view_followersync"):
        context["attention"] = [*context.get("attention", []), *_syncs(accounts, chosen, now)]
    context["attention"] = [*context.get("attention", []), *ending_keys(user)]
    context |= {"accounts": accounts, "chosen": chosen}
    context["callbacks"] = (
        [_callback(account) for account in accounts if chosen in {None, account}]
        if request.user.has_perm("events.view_officialaccount")
        else []
    )
    return context


def _up_to(events: QuerySet[EventLog], account: Any, now: datetime.datetime) -> QuerySet[EventLog]:
    """An account's events, newest first, and after them those of the accounts made before it.

    Only the index on account and event time has this order. With `account=` the planner may walk
    back through what all others did since, for seconds where an account has been silent for long.
    A clock that runs ahead at WeChat's end must not hide that nothing comes any more.
    """
    before_now = events.filter(account__lte=account, event_time__lte=now)
    return before_now.order_by("-account_id", "-event_time")


def _whose(user: Any) -> str:
    ids = account_ids(user)
    return "all" if ids is None else str(sorted(ids))


def _accounts(user: Any, now: datetime.datetime) -> list[Any]:
    """The accounts that the user may see, each with its latest push: one index probe for each."""
    newest = _up_to(EventLog.objects.all(), OuterRef("pk"), now)
    accounts: list[Any] = list(
        visible_to(user, OfficialAccount.objects.defer(*ACCOUNT_SECRETS), "pk").annotate(
            has_token=~Q(token=""),
            last_account=Subquery(newest.values("account")[:1]),
            last_event_at=Subquery(newest.values("event_time")[:1]),
            last_source=Subquery(newest.values("source")[:1]),
        )
    )
    for account in accounts:
        if account.last_account != account.pk:
            account.last_event_at = None
        # That we asked WeChat says nothing of its pushes.
        elif account.last_source != EventLog.Source.CALLBACK:
            account.last_event_at = _last_push(account.pk, now)
    return accounts


def _last_push(account_id: int, now: datetime.datetime) -> datetime.datetime | None:
    events = EventLog.objects.only("account", "source", "event_time")
    for event in _up_to(events, account_id, now)[:_OBSERVATIONS]:
        if event.account_id == account_id and event.source == EventLog.Source.CALLBACK:
            return event.event_time
    return None


def _callback(account: Any) -> dict[str, Any]:
    """Whether an account's callback is alive; the state is what keeps events from coming."""
    state: StrOrPromise = ""
    if not account.is_active:
        state = _("inactive")
    elif not account.has_token:
        state = _("no token is set")
    return {
        "name": account.name,
        "url": reverse("admin:events_officialaccount_change", args=[account.pk]),
        "state": state,
        "last_event_at": account.last_event_at,
    }


def _numbers(followers: QuerySet[Subscriber], since: datetime.datetime) -> tuple[int, int]:
    """How many people are new since then, and how many left."""
    # A person followed in a period that ends now exactly if his last follow lies in it, so these
    # two columns suffice, and nothing is counted over the log.
    return (
        followers.filter(last_followed_at__gte=since).count(),
        followers.filter(last_unfollowed_at__gte=since).count(),
    )


def _row(event: EventLog, names: MenuNames) -> dict[str, Any]:
    return {
        "url": reverse("admin:events_eventlog_change", args=[event.pk]),
        "time": event.event_time.astimezone(event.account.zone),
        "account": event.account.name,
        "kind": label(event.kind),
        "openid": shown_openid(event.openid),
        "menu_name": menu_name(names.of(event)),
        "key": event.masked(event.scene or event.event_key),
        "status": event.get_status_display(),
        "colour": STATUS_COLOURS[EventLog.Status(event.status)],
    }


def _attention(events: Any, account: OfficialAccount | None) -> list[dict[str, Any]]:
    counted = []
    of_account = {"account": account.slug} if account else {}
    for status in (
        EventLog.Status.FAILED,
        EventLog.Status.DEAD,
        EventLog.Status.UNREADABLE,
        EventLog.Status.QUARANTINED,
    ):
        ids = events.with_status(status).values_list("pk", flat=True)[: _COUNTED_UP_TO + 1]
        number = len(ids)
        if number:
            counted.append(
                {
                    "status": status.label,
                    "colour": STATUS_COLOURS[status],
                    "number": f"{_COUNTED_UP_TO}+" if number > _COUNTED_UP_TO else str(number),
                    "url": _log_url(status=status.value, **of_account),
                }
            )
    number = len(events.unanswered().values_list("pk", flat=True)[: _COUNTED_UP_TO + 1])
    if number:
        counted.append(
            {
                "status": _("unanswered"),
                "colour": "warning",
                "number": f"{_COUNTED_UP_TO}+" if number > _COUNTED_UP_TO else str(number),
                "url": _log_url(answered_by=AnswerFilter.UNANSWERED, **of_account),
            }
        )
    return counted


def _syncs(
    accounts: list[Any], chosen: OfficialAccount | None, now: datetime.datetime
) -> list[dict[str, Any]]:
    """Accounts whose last follower sync failed, or that were lately refused their followers."""
    of_interest = {account.pk: account for account in accounts if chosen in {None, account}}
    # The refusal is told in its own words, and for a while: nothing may be done about it.
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
                "number": of_interest[access.pk].name,
                "url": reverse("admin:events_officialaccount_change", args=[access.pk]),
            }
            for access in refused.filter(account__in=of_interest)
        ),
    ]


def _log_url(**filters: str) -> str:
    return f"{reverse('admin:events_eventlog_changelist')}?{urlencode(filters)}"
