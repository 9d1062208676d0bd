"""The part of the dashboard on what followers did, and which of their acts nobody answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _

from events.admin.list_filters import KindFilter
from events.menus.names import MenuName, MenuNames
from events.stats.reading.overview import entry_totals, hours_of_week
from events.stats.reading.rows import Totals
from events.stats.reading.unmatched_texts import UnmatchedText, unmatched_texts
from events.stats.series import MENU_KINDS, MESSAGES
from wechat_site.admin.dashboard.choice import Choice
from wechat_site.admin.dashboard.figure import Figure, both
from wechat_site.admin.dashboard.links import log_url, unanswered_url

__all__ = ["Entry", "HourCell", "TextRow", "entries", "event_figures", "hours", "texts"]

# How many strengths of colour an hour with events can have.
_STEPS = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """A menu entry that followers tapped."""

    account: str
    name: MenuName | None
    key: str
    taps: int
    people: int
    difference: int
    unanswered: int
    url: str
    unanswered_url: str


@dataclass(frozen=True, slots=True)
class HourCell:
    """The events of one hour of the week; `step` is the strength of its colour, from 0 to 8."""

    hour: int
    events: int
    step: int
    url: str


@dataclass(frozen=True, slots=True)
class TextRow:
    account: str
    text: UnmatchedText
    url: str


def event_figures(choice: Choice, kinds: Mapping[str, tuple[Totals, Totals]]) -> list[Figure]:
    messages = both(kinds, [MESSAGES], "events")
    taps = both(kinds, MENU_KINDS, "events")
    missed = both(kinds, [MESSAGES, *MENU_KINDS], "unanswered")
    return [
        Figure(_("Messages of followers"), *messages, log_url(choice, kind=KindFilter.MESSAGES)),
        Figure(_("Menu taps"), *taps, log_url(choice, kind=KindFilter.MENU)),
        Figure(_("Unanswered"), *missed, unanswered_url(choice), fewer_is_better=True),
    ]


def entries(choice: Choice) -> list[Entry]:
    """The menu entries that were tapped in these days, or in as many days before."""
    totals = entry_totals(choice.days)
    names = MenuNames({row.account_id for row in totals})
    accounts = {account.pk: account for account in choice.shown}
    return [
        Entry(
            account=account.name,
            name=names.of_key(row.account_id, row.kind, row.key),
            key=row.key,
            taps=row.taps,
            people=row.people,
            difference=row.taps - row.taps_before,
            unanswered=row.unanswered,
            url=log_url(choice, account=account.slug, kind=row.kind, q=row.key),
            unanswered_url=unanswered_url(choice, account=account.slug, kind=row.kind, q=row.key),
        )
        for row in totals
        for account in (accounts[row.account_id],)
    ]


def hours(choice: Choice) -> list[tuple[str, list[HourCell]]]:
    """Events of followers by weekday and hour: the weekday's name and its hours."""
    numbers = hours_of_week(choice.days)
    most = max(max(row) for row in numbers)
    return [
        (
            weekday,
            [
                HourCell(
                    hour,
                    events,
                    -(-events * _STEPS // most) if most else 0,
                    log_url(choice, hour=f"{place + 1}-{hour}"),
                )
                for hour, events in enumerate(row)
            ],
        )
        for place, (weekday, row) in enumerate(zip(_weekdays(), numbers, strict=True))
    ]


def _weekdays() -> list[str]:
    return [str(WEEKDAYS[place]) for place in range(7)]


def texts(choice: Choice, *, limit: int) -> list[TextRow]:
    """The texts that no rule matched, the most frequent first."""
    accounts = {account.pk: account for account in choice.shown}
    return [
        TextRow(
            accounts[row.account_id].name,
            row,
            log_url(choice, account=accounts[row.account_id].slug, text=row.text),
        )
        for row in unmatched_texts(choice.days, limit=limit)
    ]
