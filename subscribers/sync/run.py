"""One run of a follower sync, from WeChat's list to the last question.

First the run asks WeChat about some of our followers: if WeChat knows none of them, the AppID
belongs to another account. Then it reads WeChat's list, page by page. It marks known followers on
the list with the run's id, asks WeChat about the others, a hundred at a time, and enters these in
the log. At last it asks WeChat about our followers without a mark who have done nothing since the
run began; those who no longer follow enter the log as missed unfollows.

A run's row and the marks hold all that the run knows. The transaction that stores what they are
about writes both, and checks the lease. So a run can be killed at any moment and continued by any
worker, and counts no follower twice. It holds one page of OpenIDs in memory.

Live traffic goes on meanwhile. A run stores observations with their time (`observations`), so what
is later wins, whether it arrives before, between or after them.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.db import reset_queries
from django.db.models import Q, QuerySet

from events.db.transactions import short_transaction
from events.jobs.run import GaveUp
from events.log.process import deliver
from events.models import EventLog, OfficialAccount
from events.platform.tokens import AccountSwitchedOff
from events.wechat.api import Client, RecipientRejected
from events.wechat.api.users import BATCH_SIZE, FollowerPage, Profile
from subscribers.models import Erasure, FollowerSync, ProfileFetch, Subscriber
from subscribers.models.followers.follower_sync import ENDLESS_LIST, WRONG_ACCOUNT
from subscribers.sync.observations import (
    IMPORTED,
    MISSED_FOLLOW,
    MISSED_UNFOLLOW,
    Erased,
    observation,
    refuse_if_erased,
    second,
)
from subscribers.sync.profiles import write_profiles

__all__ = ["SyncRun"]

# So many OpenIDs are looked up, asked about and stored together.
_CHUNK = 500
# Seconds to wait for a lock, since callbacks may hold it.
_LOCK_TIMEOUT = 10
_OPENID_LENGTH = 64
# WeChat must know at least one of so many of our followers.
_SAMPLE = 20
# A list is endless if it gave more OpenIDs than so many times its length, and this margin.
_MOST_READINGS = 5
_MARGIN = 100_000


class _OutOfTime(Exception):
    """This run's slice of time is over."""


class SyncRun:
    """A claimed run while a worker continues it."""

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
        """Gives up if the AppID is wrong, before the run imports another account's followers."""
        ours = Subscriber.objects.filter(
            account=self._account, is_following=True, erased_at=None
        ).order_by("-pk")
        newest = list(ours.values_list("openid", flat=True)[:_SAMPLE])
        if len(newest) == _SAMPLE and not self._users.infos(newest).found:
            raise GaveUp(WRONG_ACCOUNT)

    # --- WeChat's list ---

    def _read_list(self) -> None:
        sync = self._sync
        while True:
            page = self._next_page()
            # An answer proves that the account may ask.
            ProfileFetch.objects.permit(self._account)
            if sync.total is None:
                self._note(total=page.total)
            for openids in _chunks(self._not_done_of(page), _CHUNK):
                # False if an earlier slice has done all of them.
                if self._take(openids):
                    self._end_step()
            if not page.openids or page.next_openid in {"", sync.next_openid}:
                # The place in the list is a follower's OpenID, so it is removed after use.
                self._note(state=FollowerSync.State.COMPARING, next_openid="", taken_to="")
                return
            self._note(
                next_openid=page.next_openid[:_OPENID_LENGTH],
                taken_to="",
                read=sync.read + len(page.openids),
                total=page.total,
            )
            if sync.read > _MOST_READINGS * page.total + _MARGIN:
                raise GaveUp(ENDLESS_LIST, next_openid="", taken_to="", read=0)

    def _not_done_of(self, page: FollowerPage) -> Sequence[str]:
        """The OpenIDs of a page that no earlier slice has done.

        Most of those done are marked and would be skipped anyway, but not people who have left, or
        who are unknown since an erasure.
        """
        openids = list(dict.fromkeys(page.openids))
        # If that follower has left since, the place is lost, and the page begins anew.
        if self._sync.taken_to not in openids:
            return openids
        return openids[openids.index(self._sync.taken_to) + 1 :]

    def _next_page(self) -> FollowerPage:
        try:
            return self._users.page(self._sync.next_openid)
        except RecipientRejected:
            # WeChat no longer knows the place, so start again. No follower counts twice.
            if not self._sync.next_openid:
                raise
            self._note(next_openid="", taken_to="")
            return self._users.page()

    def _take(self, openids: Sequence[str]) -> bool:
        """Compares OpenIDs of the list with our followers; False if all were done before."""
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
            try:
                self._ask_for(strangers, known, taken_to=openids[-1][:_OPENID_LENGTH])
            except Erased:
                return self._take(openids)
        return bool(as_thought or strangers)

    def _mark(self, people: Sequence[Subscriber]) -> None:
        """Marks followers whose state is the same at WeChat."""
        with short_transaction(_LOCK_TIMEOUT):
            ids = [
                person.pk
                for person in Subscriber.objects.select_for_update()
                .filter(pk__in=[person.pk for person in people])
                .in_order()
                .only("pk")
            ]
            Subscriber.objects.filter(pk__in=ids).update(listed_in=self._sync.pk)
            self._note(counts={"seen": len(people), "unchanged": len(people)})
        self.served += len(people)

    def _ask_for(
        self, openids: Sequence[str], known: Mapping[str, Subscriber], *, taken_to: str
    ) -> None:
        """Asks WeChat about OpenIDs that do not follow here, and enters those that do at WeChat.

        People who were erased and have not followed again since are left out.
        """
        unknown = [openid for openid in openids if openid not in known]
        erased = Erasure.objects.last_of(self._account, unknown)
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
            elif openid in erased and profile.subscribe_time <= erased[openid].timestamp():
                counts["unchanged"] += 1
            else:
                person = known.get(openid)
                is_stranger = person is None or person.last_unfollowed_at is None
                kind = IMPORTED if is_stranger else MISSED_FOLLOW
                rows.append(observation(self._account, kind, profile, at=asked_at, now=self._now()))
                found.append(profile)

        def finish(are_new: Sequence[bool]) -> None:
            refuse_if_erased([known[row.openid].pk for row in rows if row.openid in known])
            for row, is_new in zip(rows, are_new, strict=True):
                if is_new:
                    counts["new" if row.kind == IMPORTED else "missed_follows"] += 1
            # The fold has already locked these followers' rows, or made them.
            write_profiles(self._account, found, self._now())
            taken = [profile.openid for profile in found]
            Subscriber.objects.filter(account=self._account, openid__in=taken).update(
                listed_in=self._sync.pk
            )
            self._note(counts=counts, taken_to=taken_to)

        self._store(rows, finish)
        self.served += len(openids)

    # --- Followers who are not on it ---

    def _compare(self) -> None:
        while people := list(self._unlisted()[:_CHUNK]):
            # If one of them was erased meanwhile, the others are asked about anew.
            with contextlib.suppress(Erased):
                self._confirm(people)
            self._end_step()

    def _unlisted(self) -> QuerySet[Subscriber]:
        """Our followers who were not on the list, in an order that does not change."""
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
        """Asks WeChat about people, and enters an unfollow for those who no longer follow."""
        assert self._sync.started_at is not None
        rows: list[EventLog] = []
        counts: Counter[str] = Counter()
        ids = {person.openid: person.pk for person in people}
        for _, _openid, profile in self._profiles(list(ids)):
            if profile is None:
                counts["unknown"] += 1
            elif profile.is_following:
                # WeChat's pages skipped this follower, because others came and left meanwhile.
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
            refuse_if_erased([ids[row.openid] for row in rows])
            counts["missed_unfollows"] = sum(are_new)
            self._note(counts=counts, last_subscriber=people[-1].pk)

        self._store(rows, finish)
        self.served += len(people)

    # --- Both ---

    def _profiles(
        self, openids: Sequence[str]
    ) -> Iterator[tuple[datetime.datetime, str, Profile | None]]:
        """For each OpenID: when we asked, and WeChat's answer; None if WeChat does not know it."""
        for hundred in _chunks(openids, BATCH_SIZE):
            asked_at = second(self._now())
            by_openid = {profile.openid: profile for profile in self._users.infos(hundred).found}
            if self._now() >= self._renew_at:
                self._note()
            for openid in hundred:
                yield asked_at, openid, by_openid.get(openid)

    def _store(self, rows: Sequence[EventLog], finish: Callable[[Sequence[bool]], None]) -> None:
        if rows:
            deliver(rows, lock_timeout=_LOCK_TIMEOUT, then=finish)
        else:
            with short_transaction(_LOCK_TIMEOUT):
                finish([])

    def _note(self, counts: Mapping[str, int] | None = None, **columns: Any) -> None:
        now = self._now()
        FollowerSync.objects.keep(
            self._sync, until=now + self._lease, counts=counts or {}, **columns
        )
        self._renew_at = now + self._lease / 3

    def _end_step(self) -> None:
        # With DEBUG on, Django would keep each statement in memory until the next request.
        reset_queries()
        self._tell(self._sync)
        self._check_that_account_is_active()
        if self._until is not None and time.monotonic() > self._until:
            raise _OutOfTime


def _chunks(openids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(openids), size):
        yield openids[start : start + size]
