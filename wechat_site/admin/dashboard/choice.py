"""The operator's choice on the dashboard: which accounts, and which days."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.admin.access import visible_accounts
from events.models import OfficialAccount
from events.stats.days import Days
from events.stats.periods import day_in

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["Choice", "accounts_of", "choice_of"]

# For each period: how many days its last day is after its first, how many days today is after its
# last, and its name.
_PERIODS: dict[str, tuple[int, int, StrOrPromise]] = {
    "today": (0, 0, _("Today")),
    "yesterday": (0, 1, _("Yesterday")),
    "7": (6, 0, _("7 days")),
    "30": (29, 0, _("30 days")),
    "90": (89, 0, _("90 days")),
}
_DEFAULT = "7"
# Each day is a column of the chart. The statistics API allows longer spans.
_LONGEST = 366
_DAY = datetime.timedelta(days=1)
_RIGHTS = (
    "events.view_officialaccount",
    "events.view_eventlog",
    "subscribers.view_subscriber",
    "subscribers.view_followersync",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The accounts that the user may see, those that are shown, and the days.

    `period` is a key of the selector, or "" for a span that the user entered; `error` says what is
    wrong with the entered dates.
    """

    accounts: Sequence[OfficialAccount]
    chosen: OfficialAccount | None
    period: str
    days: Days
    today: datetime.date
    error: StrOrPromise = ""

    @property
    def shown(self) -> Sequence[OfficialAccount]:
        return self.days.accounts

    @property
    def ids(self) -> list[int]:
        return [account.pk for account in self.shown]

    @property
    def is_over(self) -> bool:
        """Whether the last day is over."""
        return self.days.last < self.today

    @property
    def is_one_day(self) -> bool:
        return self.days.first == self.days.last

    def url(self, **other: str) -> str:
        """The address of this page with another account or other days."""
        query = {"account": self.chosen.slug if self.chosen else "", "period": self.period}
        if not self.period:
            query |= {"from": str(self.days.first), "to": str(self.days.last)}
        query |= other
        return f"?{urlencode({name: value for name, value in query.items() if value})}"

    def accounts_links(self) -> list[tuple[StrOrPromise, str, bool]]:
        links: list[tuple[StrOrPromise, str, bool]] = [
            (_("All accounts"), self.url(account=""), self.chosen is None)
        ]
        links += [
            (account.name, self.url(account=account.slug), account == self.chosen)
            for account in self.accounts
        ]
        return links

    def period_links(self) -> list[tuple[StrOrPromise, str, bool]]:
        account = self.chosen.slug if self.chosen else ""
        return [
            (
                name,
                "?" + urlencode(({"account": account} if account else {}) | {"period": key}),
                key == self.period,
            )
            for key, (_length, _ago, name) in _PERIODS.items()
        ]


def accounts_of(request: HttpRequest) -> list[OfficialAccount]:
    """The accounts that this user may see; everything on the page is limited to them.

    A user without a right to anything of an account does not learn which accounts there are.
    """
    if not any(map(request.user.has_perm, _RIGHTS)):
        return []
    return list(visible_accounts(request).annotate(has_token=~Q(token="")))


def choice_of(request: HttpRequest) -> Choice:
    """The choice in the page's address; by default the last seven days of all accounts."""
    accounts = accounts_of(request)
    asked = request.GET
    chosen = next((each for each in accounts if each.slug == asked.get("account")), None)
    shown = [chosen] if chosen else accounts
    zone = chosen.zone if chosen else timezone.get_current_timezone()
    today = timezone.now().astimezone(zone).date()
    period = asked.get("period", _DEFAULT)
    error: StrOrPromise = ""
    if "from" in asked or "to" in asked:
        first, last = day_in(asked.get("from", "")), day_in(asked.get("to", ""))
        if first is None or last is None:
            error = _("Give a first and a last day.")
        elif last < first:
            error = _("The last day is before the first one.")
        elif (last - first).days >= _LONGEST:
            error = _("Choose at most a year of days.")
        else:
            return Choice(accounts, chosen, "", Days(shown, first, last), today)
        period = _DEFAULT
    if period not in _PERIODS:
        period = _DEFAULT
    length, ago, _name = _PERIODS[period]
    last = today - ago * _DAY
    return Choice(accounts, chosen, period, Days(shown, last - length * _DAY, last), today, error)
