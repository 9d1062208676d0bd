"""One run of a follower sync, from WeChat's list to the last question.

A run has two parts. It reads the list, page by page: known followers on it are marked with the
run's id; WeChat is asked about the others, in hundreds, and they enter the log. Then WeChat is
asked about our followers without a mark who have done nothing since the run began; those who do not
follow enter the log as missed unfollows. Before all that, WeChat is asked about some of our
followers: an account that knows none of them is another account.

A run's row and the marks hold all that it knows. Both are written, together with a check of the
lease, in the transaction that stores what they are about. So a run can be killed at any moment and
carried on by any worker, and counts no follower twice. It holds one page of OpenIDs in memory.

Live traffic goes on meanwhile. A run stores observations with their time (`observations`), so the
later one wins against what arrives before, between and after them.
"""

from __future__ import annotations

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
    observation,
    second,
)
from subscribers.sync.profiles import write_profiles

__all__ = ["SyncRun"]

# OpenIDs that are looked up, asked about and stored together.
_CHUNK = 500
# Seconds to wait for a lock: callbacks go first.
_LOCK_TIMEOUT = 10
_OPENID_LENGTH = 64
# Of so many of our followers WeChat must know at least one.
_ENOUGH = 20
# More OpenIDs than the list read so often, and this margin, mean that the list is endless.
_READINGS = 5
_MARGIN = 100_000


class _OutOfTime(Exception):
    """The slice is over."""


class SyncRun:
    """A claimed run while a worker carries it on."""

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
        """Gives up before a wrong AppID imports another account's followers."""
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
            # An answer proves that the account may ask.
            ProfileFetch.objects.permit(self._account)
            if sync.total is None:
                self._note(total=page.total)
            for openids in _chunks(self._left_of(page), _CHUNK):
                # An earlier slice may have dealt with all of them.
                if self._take(openids):
                    self._end_step()
            if not page.openids or page.next_openid in {"", sync.next_openid}:
                # The place is a follower's OpenID, and of no more use.
                self._note(state=FollowerSync.State.COMPARING, next_openid="", taken_to="")
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
        """The OpenIDs of a page that an earlier slice has not dealt with.

        Most of the others are marked and would be skipped anyway, but not those who have left or
        whom an erasure made unknown.
        """
        openids = list(dict.fromkeys(page.openids))
        # If that follower has left since, the place is lost.
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
        """Deals with OpenIDs of the list; False if that was done before."""
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
        """Marks followers whose state is as we thought."""
        with short_transaction(_LOCK_TIMEOUT):
            # In the order of the unique key, like every lock of several followers.
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
        """Asks WeChat about OpenIDs that are not followers here; enters those that follow.

        Not those who were erased and have not followed since.
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

    # --- Followers who are not on it ---

    def _compare(self) -> None:
        while people := list(self._unlisted()[:_CHUNK]):
            self._confirm(people)
            self._end_step()

    def _unlisted(self) -> QuerySet[Subscriber]:
        """Followers, as far as we know, who were not on the list, in a lasting order."""
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
        """Enters an unfollow for those who do not follow, according to WeChat."""
        assert self._sync.started_at is not None
        rows: list[EventLog] = []
        counts: Counter[str] = Counter()
        for _, _openid, profile in self._profiles([person.openid for person in people]):
            if profile is None:
                counts["unknown"] += 1
            elif profile.is_following:
                # The pages skipped this follower while others came and went.
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
        """When WeChat was asked about each OpenID, and its answer; None if it does not know it."""
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
        # With DEBUG on Django keeps each statement until a request begins.
        reset_queries()
        self._tell(self._sync)
        self._check_that_account_is_active()
        if self._until is not None and time.monotonic() > self._until:
            raise _OutOfTime


def _chunks(openids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(openids), size):
        yield openids[start : start + size]
