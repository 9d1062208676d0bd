"""The part of the dashboard on whether the site works: pushes, refusals, API calls, the worker."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import F, Max, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from events.callback.refusals import UNKNOWN_ACCOUNT
from events.limits import Limits
from events.models import CallbackRefusal, HealthCount, SharedAccessToken, TaskRun
from events.platform.failures import explanation
from events.stats.days import Days
from events.stats.reading.rhythm import Pulse, Rhythm, rhythms
from events.viewer import account_ids, shown_openid
from subscribers.models import OutgoingMessage, ProfileFetch
from subscribers.stats.reading.waiting import waiting_followers
from wechat_site.admin.dashboard.choice import Choice
from wechat_site.admin.dashboard.links import (
    account_url,
    follower_url,
    jobs_url,
    list_url,
    log_url,
    past_days,
    unanswered_url,
)
from wechat_site.tasks import TASKS

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "COUNTED_UP_TO",
    "AccountRow",
    "Refusal",
    "account_rows",
    "refusals",
    "waiting",
    "worker",
]

_HOUR = datetime.timedelta(hours=1)
_DAY = datetime.timedelta(days=1)
_COLOURS = {Pulse.ALIVE: "success", Pulse.LATE: "warning", Pulse.SILENT: "danger"}
_WORDS: dict[Pulse, StrOrPromise] = {
    Pulse.ALIVE: gettext_lazy("as usual"),
    Pulse.LATE: gettext_lazy("quieter than usual"),
    Pulse.SILENT: gettext_lazy("silent"),
    Pulse.UNKNOWN: gettext_lazy("too new to tell"),
}
_REASONS: dict[str, StrOrPromise] = {
    UNKNOWN_ACCOUNT: gettext_lazy(
        "The address is of no account, or of one that is switched off: compare the URL in "
        "WeChat's console."
    ),
    "SignatureMismatch": gettext_lazy(
        "The signature is not made with this account's token (令牌): enter the same one here and "
        "in WeChat's console."
    ),
    "InvalidParameters": gettext_lazy(
        "The request is not one of WeChat's: parameters are missing. Often a proxy or a visitor."
    ),
    "Downgraded": gettext_lazy(
        "A plain body came, but the account is in safe or compatible mode (消息加解密方式)."
    ),
    "DecryptionFailed": gettext_lazy(
        "The body cannot be decrypted: the EncodingAESKey is another one than in WeChat's console."
    ),
    "AppIdMismatch": gettext_lazy("The body is for another AppID than the account's."),
    "NotAuthentic": gettext_lazy(
        "The time of the request is too far from this server's clock: set the clock."
    ),
    "TooOld": gettext_lazy(
        "An old push came again in plaintext mode. If this server's clock is right, somebody may "
        "repeat a captured one: take the safe mode (安全模式)."
    ),
}
# Failures that a wrong setting of the account causes. The page of background jobs tells of others.
_OF_ACCOUNT = {"address", "credentials", "token", "token_paused", "no_app_secret", "permission"}
_WAITING_SHOWN = 5
COUNTED_UP_TO = 99


@dataclass(frozen=True, slots=True)
class Trouble:
    """A sentence, and the page on which to put it right; "" if the viewer may not see that page."""

    words: str
    url: str


@dataclass(slots=True)
class AccountRow:
    """One account: its last push, its answers since yesterday, its troubles with WeChat's API."""

    name: str
    url: str
    state: StrOrPromise
    colour: str
    last_event_at: datetime.datetime | None
    usual: int | None
    received: int
    late: int
    unanswered: int
    received_url: str
    late_url: str
    unanswered_url: str
    troubles: list[Trouble] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Requests that were refused in the last hour for one reason."""

    account: str
    words: str
    number: int
    last_at: datetime.datetime
    url: str


def account_rows(
    choice: Choice,
    last_pushes: Mapping[int, datetime.datetime | None],
    now: datetime.datetime,
    *,
    sees_jobs: bool,
) -> list[AccountRow]:
    """A row for each account that is shown; the answers are those since yesterday.

    Users with `sees_jobs` get links to the page of background jobs.
    """
    days = Days(choice.shown, choice.today - _DAY, choice.today)
    answers = _answers(days)
    usual, limits = rhythms(choice.ids, now), Limits()
    troubles = _troubles(choice, now, jobs_url() if sees_jobs else "")
    span = past_days(days.first, days.last)
    rows = []
    for account in choice.shown:
        last = last_pushes[account.pk]
        rhythm = usual.get(account.pk, Rhythm())
        pulse = rhythm.pulse(
            last,
            now,
            late=limits.of("silence_late", account.pk),
            silent=limits.of("silence_down", account.pk),
        )
        state, colour = _WORDS[pulse], _COLOURS.get(pulse, "info")
        if not account.is_active:
            state, colour = _("inactive"), "warning"
        elif not account.has_token:  # type: ignore[attr-defined]
            state, colour = _("no token is set"), "warning"
        elif last is None:
            state = _("no event yet")
        received, late, missed = answers.get(account.pk, (0, 0, 0))
        of_account = {"account": account.slug, "days": span}
        rows.append(
            AccountRow(
                name=account.name,
                url=account_url(account.pk),
                state=state,
                colour=colour,
                last_event_at=last,
                usual=None
                if last is None or pulse is Pulse.UNKNOWN
                else round(rhythm.expected(last, now)) or None,
                received=received,
                late=late,
                unanswered=missed,
                received_url=log_url(choice, **of_account),
                late_url=log_url(choice, **of_account, answered_by="late"),
                unanswered_url=unanswered_url(choice, **of_account),
                troubles=troubles[account.pk],
            )
        )
    return rows


def _answers(days: Days) -> dict[int, tuple[int, int, int]]:
    """Pushes, late answers and missing answers, by account."""
    rows = (
        HealthCount.objects.filter(days.within("account", "start"))
        .order_by()
        .values_list("account")
        .annotate(
            pushes=Sum("received"),
            late=Sum(F("answered") - F("within_5s")),
            missed=Sum("unanswered"),
        )
    )
    return {pk: (pushes, late, missed) for pk, pushes, late, missed in rows}


def _troubles(choice: Choice, now: datetime.datetime, jobs: str) -> defaultdict[int, list[Trouble]]:
    """Why WeChat's API does not answer an account: token, IP list, quota, permission."""
    found: defaultdict[int, dict[str, Trouble]] = defaultdict(dict)
    lately = {"account__in": choice.ids, "failed_at__gt": now - _DAY}
    tokens = SharedAccessToken.objects.filter(**lately).exclude(failure="")
    fetches = ProfileFetch.objects.filter(**lately).exclude(failure="")
    messages = OutgoingMessage.objects.failed().filter(**lately).order_by()
    for rows in (
        tokens.values_list("account", "failure"),
        fetches.values_list("account", "failure"),
        messages.values_list("account", "failure").distinct(),
    ):
        for account_id, label in rows:
            words = explanation(label)
            if words:
                url = account_url(account_id) if label in _OF_ACCOUNT else jobs
                found[account_id][label] = Trouble(words, url)
    return defaultdict(list, {pk: list(troubles.values()) for pk, troubles in found.items()})


def refusals(choice: Choice, user: Any, now: datetime.datetime) -> list[Refusal]:
    """The refused requests of the last hour by reason, the most frequent first.

    Requests for an address of no account are only for users who see all accounts.
    """
    accounts = {account.slug: account for account in choice.shown}
    sees_all = choice.chosen is None and account_ids(user) is None
    wanted = [*accounts, ""] if sees_all else [*accounts]
    rows = (
        CallbackRefusal.objects.filter(minute__gt=now - _HOUR, account__in=wanted)
        .order_by()
        .values_list("account", "reason")
        .annotate(times=Sum("number"), last=Max("minute"))
        .order_by("-times", "account", "reason")
    )
    return [
        Refusal(
            accounts[slug].name if slug else _("no account"),
            str(_REASONS.get(reason, reason)),
            number,
            last,
            account_url(accounts[slug].pk) if slug else list_url("events", "officialaccount"),
        )
        for slug, reason, number, last in rows
    ]


def waiting(choice: Choice, now: datetime.datetime) -> dict[str, Any]:
    """Followers who wait for an answer, the longest waiting first."""
    found = waiting_followers(choice.ids, now, limit=COUNTED_UP_TO + 1)
    names = {account.pk: account.name for account in choice.shown}
    span = past_days(choice.today - 2 * _DAY, choice.today)
    return {
        "number": f"{COUNTED_UP_TO}+" if len(found) > COUNTED_UP_TO else str(len(found)),
        "any": bool(found),
        "since": found[0].since if found else None,
        "url": unanswered_url(choice, days=span),
        "oldest": [
            {
                "url": follower_url(row.subscriber_id),
                "openid": shown_openid(row.openid),
                "account": names[row.account_id],
                "since": row.since,
                "messages": row.messages,
            }
            for row in found[:_WAITING_SHOWN]
        ],
    }


def worker(now: datetime.datetime) -> dict[str, Any]:
    """Whether a worker runs, and which of its tasks fail."""
    runs = list(TaskRun.objects.filter(pk__in=[task.name for task in TASKS]))
    finished = [run.finished_at for run in runs if run.finished_at is not None]
    return {
        "is_silent": TaskRun.objects.is_silent(now),
        "last_at": max(finished, default=None),
        "failing": sum(run.failures > 0 for run in runs),
        "url": jobs_url(),
    }
