"""Compares an account's followers with WeChat's list (粉丝同步).

A run has two parts. It reads the list, page by page: who is on it and known is marked with the
run's id, and the others are asked for in hundreds and enter the log. Then those of our followers
who have no mark, and have done nothing since the run began, are asked for; who does not follow
enters the log as a missed unfollow. Before all that, some of our followers are asked for: an
account that knows none of them is another one.

All that a run knows is in its row and in the marks, and both are written in the transaction that
stores what they are about, together with a look at the lease. So it can be killed at any moment and
be carried on by anybody, and counts nobody twice; and it holds one page of OpenIDs in memory.

Live traffic goes on meanwhile. What is stored here are observations with their time
(`observations`), so whatever arrives before, between and after them, the later one
wins.
"""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import reset_queries
from django.db.models import Q, QuerySet
from django.utils import timezone

from events.db.transactions import short_transaction
from events.delays import CALL
from events.jobs.run import GaveUp, claimed, run_job
from events.log.process import deliver
from events.models import EventLog, OfficialAccount
from events.platform.client import client_for
from events.platform.tokens import AccountSwitchedOff
from events.wechat.api import Client, NotPermitted, RecipientRejected
from events.wechat.api.users import BATCH_SIZE, FollowerPage, Profile
from subscribers.models import FollowerSync, ProfileFetch, Subscriber
from subscribers.models.follower_sync import ENDLESS_LIST, WRONG_ACCOUNT
from subscribers.sync.observations import (
    IMPORTED,
    MISSED_FOLLOW,
    MISSED_UNFOLLOW,
    observation,
    second,
)
from subscribers.sync.profiles import accounts_that_ask, write_profiles

__all__ = ["LEASE", "SLICE", "begin_daily", "carry_on", "sync_next"]

# Longer than a hundred profiles may take, if each OpenID is refused.
LEASE = datetime.timedelta(minutes=5)
# Seconds after which other tasks get a turn.
SLICE = 8

# OpenIDs that are looked up, asked for and stored together.
_CHUNK = 500
# Seconds to wait for the database: callbacks go first.
_PATIENCE = 10
_OPENID_LENGTH = 64
# Of so many of ours WeChat knows one at least.
_ENOUGH = 20
# So often the list may be read over, and so much longer it may be, before it counts as endless.
_READINGS = 5
_MARGIN = 100_000
# For a night without a worker the run is made up for; the first of an account waits for a night,
# and for the first night after it was made.
_NIGHT = datetime.timedelta(hours=3)


def sync_next(*, lease: datetime.timedelta = LEASE) -> int:
    """Carries on the run that is due next, for some seconds; returns how many people it dealt with.

    Call it outside a transaction.
    """
    served = 0
    for sync in claimed(FollowerSync.objects.all(), lease=lease, seconds=0):
        served += carry_on(sync, until=time.monotonic() + SLICE, lease=lease)
    return served


def begin_daily(now: datetime.datetime | None = None) -> int:
    """Begins a run for each account whose night has come; returns how many.

    Accounts that WeChat refuses their followers to are left alone.
    """
    hour = settings.FOLLOWER_SYNC_HOUR
    if hour is None:
        return 0
    now = now or timezone.now()
    begun = 0
    for account in accounts_that_ask():
        night = _last_night(account, hour, now)
        runs = FollowerSync.objects.filter(account=account)
        is_due = account.created_at <= night and (now - night < _NIGHT or runs.exists())
        if not is_due or runs.filter(requested_at__gte=night).exists():
            continue
        if ProfileFetch.objects.of(account).is_refused:
            continue
        _, is_new = FollowerSync.objects.begin(
            account, origin=FollowerSync.Origin.SCHEDULE, now=now
        )
        begun += is_new
    return begun


def _last_night(account: OfficialAccount, hour: int, now: datetime.datetime) -> datetime.datetime:
    """When the account's sync was last to begin; accounts are spread over an hour."""
    here = now.astimezone(account.zone)
    night = here.replace(hour=hour, minute=account.pk * 7 % 60, second=0, microsecond=0)
    return night if night <= here else night - datetime.timedelta(days=1)


def carry_on(
    sync: FollowerSync,
    *,
    client: Client | None = None,
    until: float | None = None,
    lease: datetime.timedelta = LEASE,
    now: Callable[[], datetime.datetime] = timezone.now,
    tell: Callable[[FollowerSync], None] = lambda sync: None,
) -> int:
    """Carries a claimed run on to its end, or to `until` (a time.monotonic()).

    Returns how many people it dealt with. A failure is noted on the run. `tell` is called with the
    run after each step.
    """
    served = 0

    def work(sync: FollowerSync) -> None:
        nonlocal served
        run = _Run(sync, client or client_for(sync.account), until, lease, now, tell)
        try:
            run.carry_on()
        except NotPermitted as error:
            ProfileFetch.objects.refuse(sync.account, error, now())
            raise
        finally:
            served = run.served

    run_job(FollowerSync.objects.all(), sync, work, delays=CALL, now=now)
    return served


class _OutOfTime(Exception):
    """The slice is over."""


class _Run:
    """A claimed run that is being carried on."""

    def __init__(
        self,
        sync: FollowerSync,
        client: Client,
        until: float | None,
        lease: datetime.timedelta,
        now: Callable[[], datetime.datetime],
        tell: Callable[[FollowerSync], None],
    ) -> None:
        self._sync = sync
        self._account = sync.account
        self._users = client.users
        self._until = until
        self._lease = lease
        self._now = now
        self._tell = tell
        self._renew_at = now() + lease / 3
        self.served = 0

    def carry_on(self) -> None:
        sync = self._sync
        try:
            self._check_that_account_is_active()
            if sync.started_at is None:
                self._check_that_ours_are_known()
                self._note(started_at=second(self._now()))
            if sync.state == FollowerSync.State.LISTING:
                self._read_list()
            self._compare()
        except _OutOfTime:
            FollowerSync.objects.release(sync, self._now())
            return
        done = FollowerSync.objects.finish(
            sync, state=FollowerSync.State.FINISHED, finished_at=self._now()
        )
        if done:
            sync.refresh_from_db()
            self._tell(sync)

    def _check_that_account_is_active(self) -> None:
        if not OfficialAccount.objects.filter(pk=self._account.pk, is_active=True).exists():
            raise AccountSwitchedOff(self._account.slug)

    def _check_that_ours_are_known(self) -> None:
        """Before a wrong AppID brings another account's followers in."""
        ours = Subscriber.objects.filter(
            account=self._account, is_following=True, erased_at=None
        ).order_by("-pk")
        newest = list(ours.values_list("openid", flat=True)[:_ENOUGH])
        if len(newest) == _ENOUGH and not self._users.infos(newest).found:
            raise GaveUp(WRONG_ACCOUNT)

    # --- WeChat's list ---

    def _read_list(self) -> None:
        sync = self._sync
        while True:
            page = self._next_page()
            # Whoever is known by now has been allowed to ask.
            ProfileFetch.objects.permit(self._account)
            if sync.total is None:
                self._note(total=page.total)
            for openids in _chunks(self._left_of(page), _CHUNK):
                # Of what an earlier slice has done nothing is left to do.
                if self._take(openids):
                    self._end_step()
            if not page.openids or page.next_openid in {"", sync.next_openid}:
                self._note(state=FollowerSync.State.COMPARING)
                return
            self._note(
                next_openid=page.next_openid[:_OPENID_LENGTH],
                taken_to="",
                read=sync.read + len(page.openids),
                total=page.total,
            )
            if sync.read > _READINGS * page.total + _MARGIN:
                raise GaveUp(ENDLESS_LIST, next_openid="", taken_to="", read=0)

    def _left_of(self, page: FollowerPage) -> Sequence[str]:
        """Those on a page who come after what an earlier slice has dealt with.

        Most are marked and would be passed anyway, but not those who follow no more.
        """
        openids = list(dict.fromkeys(page.openids))
        # Who has left since is no place any more.
        if self._sync.taken_to not in openids:
            return openids
        return openids[openids.index(self._sync.taken_to) + 1 :]

    def _next_page(self) -> FollowerPage:
        try:
            return self._users.page(self._sync.next_openid)
        except RecipientRejected:
            # WeChat no longer knows where we were: from the start again. Nobody counts twice.
            if not self._sync.next_openid:
                raise
            self._note(next_openid="", taken_to="")
            return self._users.page()

    def _take(self, openids: Sequence[str]) -> bool:
        """Deals with people on the list; False if that was done before."""
        usable = [openid for openid in openids if 0 < len(openid) <= _OPENID_LENGTH]
        known = {
            person.openid: person
            for person in Subscriber.objects.filter(account=self._account, openid__in=usable).only(
                "openid", "is_following", "last_unfollowed_at", "listed_in"
            )
        }
        listed = self._sync.pk
        as_thought = [
            person
            for person in known.values()
            if person.is_following and person.listed_in != listed
        ]
        strangers = [
            openid
            for openid in usable
            if openid not in known
            or not (known[openid].is_following or known[openid].listed_in == listed)
        ]
        if as_thought:
            self._mark(as_thought)
        if strangers:
            self._ask_for(strangers, known, taken_to=openids[-1][:_OPENID_LENGTH])
        return bool(as_thought or strangers)

    def _mark(self, people: Sequence[Subscriber]) -> None:
        """Notes that these follow, as we thought."""
        with short_transaction(_PATIENCE):
            # In the order of the unique key, like everybody who locks several followers.
            ids = [
                person.pk
                for person in Subscriber.objects.select_for_update()
                .filter(pk__in=[person.pk for person in people])
                .order_by("account_id", "openid")
                .only("pk")
            ]
            Subscriber.objects.filter(pk__in=ids).update(listed_in=self._sync.pk)
            self._note(counts={"seen": len(people), "unchanged": len(people)})
        self.served += len(people)

    def _ask_for(
        self, openids: Sequence[str], known: Mapping[str, Subscriber], *, taken_to: str
    ) -> None:
        """Enters those in the log who follow, and did not as far as we knew."""
        rows: list[EventLog] = []
        found: list[Profile] = []
        counts: Counter[str] = Counter()
        for asked_at, openid, profile in self._profiles(openids):
            if profile is None:
                counts["unknown"] += 1
                continue
            counts["seen"] += 1
            if not profile.is_following:
                counts["left"] += 1
            else:
                person = known.get(openid)
                is_stranger = person is None or person.last_unfollowed_at is None
                kind = IMPORTED if is_stranger else MISSED_FOLLOW
                rows.append(observation(self._account, kind, profile, at=asked_at, now=self._now()))
                found.append(profile)

        def finish(are_new: Sequence[bool]) -> None:
            for row, is_new in zip(rows, are_new, strict=True):
                if is_new:
                    counts["new" if row.kind == IMPORTED else "missed_follows"] += 1
            # The fold has locked their rows, or made them.
            write_profiles(self._account, found, self._now())
            taken = [profile.openid for profile in found]
            Subscriber.objects.filter(account=self._account, openid__in=taken).update(
                listed_in=self._sync.pk
            )
            self._note(counts=counts, taken_to=taken_to)

        self._store(rows, finish)
        self.served += len(openids)

    # --- Who is not on it ---

    def _compare(self) -> None:
        while people := list(self._unlisted()[:_CHUNK]):
            self._confirm(people)
            self._end_step()

    def _unlisted(self) -> QuerySet[Subscriber]:
        """Those who follow as far as we know, but were not on the list, in a lasting order."""
        began = self._sync.started_at
        return (
            Subscriber.objects.filter(
                Q(last_followed_at=None) | Q(last_followed_at__lt=began),
                Q(last_seen_at=None) | Q(last_seen_at__lt=began),
                account=self._account,
                is_following=True,
                erased_at=None,
                pk__gt=self._sync.last_subscriber,
            )
            .exclude(listed_in=self._sync.pk)
            .order_by("pk")
        )

    def _confirm(self, people: Sequence[Subscriber]) -> None:
        """Enters an unfollow for those of whom WeChat says that they do not follow."""
        assert self._sync.started_at is not None
        rows: list[EventLog] = []
        counts: Counter[str] = Counter()
        for _, _openid, profile in self._profiles([person.openid for person in people]):
            if profile is None:
                counts["unknown"] += 1
            elif profile.is_following:
                # Paging passed them by, while others came and went.
                counts["unchanged"] += 1
                counts["seen"] += 1
            else:
                rows.append(
                    observation(
                        self._account,
                        MISSED_UNFOLLOW,
                        profile,
                        at=self._sync.started_at,
                        now=self._now(),
                    )
                )

        def finish(are_new: Sequence[bool]) -> None:
            counts["missed_unfollows"] = sum(are_new)
            self._note(counts=counts, last_subscriber=people[-1].pk)

        self._store(rows, finish)
        self.served += len(people)

    # --- Both ---

    def _profiles(
        self, openids: Sequence[str]
    ) -> Iterator[tuple[datetime.datetime, str, Profile | None]]:
        """What WeChat says of each, None if it does not know the OpenID, and when it was asked."""
        for hundred in _chunks(openids, BATCH_SIZE):
            asked_at = second(self._now())
            by_openid = {profile.openid: profile for profile in self._users.infos(hundred).found}
            if self._now() >= self._renew_at:
                self._note()
            for openid in hundred:
                yield asked_at, openid, by_openid.get(openid)

    def _store(self, rows: Sequence[EventLog], finish: Callable[[Sequence[bool]], None]) -> None:
        if rows:
            deliver(rows, patience=_PATIENCE, then=finish)
        else:
            with short_transaction(_PATIENCE):
                finish([])

    def _note(self, counts: Mapping[str, int] | None = None, **columns: Any) -> None:
        now = self._now()
        FollowerSync.objects.keep(
            self._sync, until=now + self._lease, counts=counts or {}, **columns
        )
        self._renew_at = now + self._lease / 3

    def _end_step(self) -> None:
        # With DEBUG on Django keeps each statement until a request begins.
        reset_queries()
        self._tell(self._sync)
        self._check_that_account_is_active()
        if self._until is not None and time.monotonic() > self._until:
            raise _OutOfTime


def _chunks(openids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(openids), size):
        yield openids[start : start + size]
