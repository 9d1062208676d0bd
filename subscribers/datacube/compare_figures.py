"""Compares our figures of a day with WeChat's, and says why they differ."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.stats.reading.queries import Span, people_and_events
from events.stats.series import FOLLOW, UNFOLLOW
from events.wechat.beijing_time import BEIJING
from subscribers.models import FollowerSync, WeChatDay
from subscribers.stats.reading.queries import FollowerRow, follower_counts

__all__ = ["REASONS", "Compared", "Reason", "compare"]

_DAY = datetime.timedelta(days=1)
# A sync finds a missed follow or unfollow at most this many days later, and counts it then.
_FOUND_WITHIN = 2


class Reason(enum.StrEnum):
    """Why WeChat's figures and ours differ."""

    ZONE = "zone"
    BEFORE = "before"
    FOUND = "found"
    AGAIN = "again"
    NEVER_SYNCED = "never_synced"
    UNKNOWN = "unknown"


REASONS = {
    Reason.ZONE: _("The account's days are not Beijing's."),
    Reason.BEFORE: _("This site did not receive the account's pushes yet."),
    Reason.FOUND: _("Pushes were missed; a sync has found them since."),
    Reason.AGAIN: _("People followed or left more than once that day: WeChat counts each time."),
    Reason.NEVER_SYNCED: _("Who followed before this site is not known: no sync has ended yet."),
    Reason.UNKNOWN: _("Pushes were missed that no sync has found yet: start one."),
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One day: `theirs` as WeChat says, `ours` by the log; differences are theirs minus ours."""

    theirs: WeChatDay
    ours: FollowerRow
    reasons: Sequence[Reason]

    @property
    def new(self) -> int:
        return self.theirs.new - self.ours.new

    @property
    def cancelled(self) -> int:
        return self.theirs.cancelled - self.ours.cancelled

    @property
    def cumulative(self) -> int:
        return self.theirs.cumulative - self.ours.cumulative


def compare(account: OfficialAccount, days: Iterable[WeChatDay]) -> Iterator[Compared]:
    """Compares days of one account, in the order of time."""
    theirs = {day.date: day for day in days}
    if not theirs:
        return
    first, last = min(theirs), max(theirs)
    span = Span(account, first, last + _FOUND_WITHIN * _DAY)
    ours = list(follower_counts(span))
    acts = people_and_events(span, (FOLLOW, UNFOLLOW))
    synced = FollowerSync.objects.filter(account=account, state=FollowerSync.State.FINISHED)
    is_synced = synced.exists()
    for place, row in enumerate(ours):
        day = theirs.get(first + place * _DAY)
        if day is None:
            continue
        counted = [acts.get(kind, {}).get(place, (0, 0)) for kind in (FOLLOW, UNFOLLOW)]
        again = sum(events - people for events, people in counted)
        lately = ours[place : place + _FOUND_WITHIN + 1]
        found = sum(later.found_following + later.found_gone for later in lately)
        yield Compared(day, row, list(_reasons(account, day, row, again, found, is_synced)))


def _reasons(
    account: OfficialAccount, day: WeChatDay, ours: FollowerRow, again: int, found: int,
    is_synced: bool,
) -> Iterator[Reason]:  # fmt: skip
    missing = abs(day.new - ours.new) + abs(day.cancelled - ours.cancelled)
    if not missing and day.cumulative == ours.cumulative:
        return
    if ours.start.utcoffset() != ours.start.astimezone(BEIJING).utcoffset():
        yield Reason.ZONE
        return
    added = account.created_at.astimezone(account.zone).date()
    if day.date < added and not (ours.new or ours.cancelled):
        yield Reason.BEFORE
        return
    if missing and again:
        yield Reason.AGAIN
    if missing > again:
        yield Reason.FOUND if found else Reason.UNKNOWN
    if day.cumulative != ours.cumulative and not is_synced:
        yield Reason.NEVER_SYNCED
    elif day.cumulative != ours.cumulative and not missing:
        # The difference comes from an earlier day.
        yield Reason.FOUND if found else Reason.UNKNOWN
