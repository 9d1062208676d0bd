"""Reads WeChat's list of followers, page by page, and compares it with ours.

Known followers on the list are marked with the run's id. WeChat is asked about the others, a
hundred at a time, and these enter the log. One page of OpenIDs is in memory at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from events.db.transactions import short_transaction
from events.jobs.run import GaveUp
from events.models import EventLog
from events.wechat.api import RecipientRejected
from events.wechat.api.users import FollowerPage, Profile
from subscribers.models import Erasure, FollowerSync, ProfileFetch, Subscriber
from subscribers.models.followers.follower_sync import ENDLESS_LIST
from subscribers.sync.observations import (
    IMPORTED,
    MISSED_FOLLOW,
    Erased,
    observation,
    refuse_if_erased,
)
from subscribers.sync.profiles import write_profiles
from subscribers.sync.turn import CHUNK, LOCK_TIMEOUT, Turn, chunks

__all__ = ["ListReader"]

_OPENID_LENGTH = 64
# A list counts as endless after this many times its length, and this margin, in OpenIDs.
_MOST_READINGS = 5
_MARGIN = 100_000


class ListReader:
    """Reads the list from where an earlier turn stopped, to its end."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._sync = turn.sync
        self._account = turn.account

    def read(self) -> None:
        """Reads to the end of the list; raises OutOfTime, GaveUp, or an APIError."""
        sync = self._sync
        while True:
            page = self._next_page()
            # An answer proves that the account may ask.
            ProfileFetch.objects.permit(self._account)
            if sync.total is None:
                self._turn.note(total=page.total)
            for openids in chunks(self._not_done_of(page), CHUNK):
                # False if an earlier turn has done all of them.
                if self._take(openids):
                    self._turn.end_step()
            if not page.openids or page.next_openid in {"", sync.next_openid}:
                # The place in the list is a follower's OpenID, so it is removed after use.
                self._turn.note(state=FollowerSync.State.COMPARING, next_openid="", taken_to="")
                return
            self._turn.note(
                next_openid=page.next_openid[:_OPENID_LENGTH],
                taken_to="",
                read=sync.read + len(page.openids),
                total=page.total,
            )
            if sync.read > _MOST_READINGS * page.total + _MARGIN:
                raise GaveUp(ENDLESS_LIST, next_openid="", taken_to="", read=0)

    def _not_done_of(self, page: FollowerPage) -> Sequence[str]:
        """The OpenIDs of a page that no earlier turn has done.

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
            return self._turn.users.page(self._sync.next_openid)
        except RecipientRejected:
            # WeChat no longer knows the place, so start again. No follower counts twice.
            if not self._sync.next_openid:
                raise
            self._turn.note(next_openid="", taken_to="")
            return self._turn.users.page()

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
        with short_transaction(LOCK_TIMEOUT):
            ids = [
                person.pk
                for person in Subscriber.objects.select_for_update()
                .filter(pk__in=[person.pk for person in people])
                .in_order()
                .only("pk")
            ]
            Subscriber.objects.filter(pk__in=ids).update(listed_in=self._sync.pk)
            self._turn.note(counts={"seen": len(people), "unchanged": len(people)})
        self._turn.served += len(people)

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
        for asked_at, openid, profile in self._turn.profiles(openids):
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
                rows.append(
                    observation(self._account, kind, profile, at=asked_at, now=self._turn.now())
                )
                found.append(profile)

        def finish(are_new: Sequence[bool]) -> None:
            refuse_if_erased([known[row.openid].pk for row in rows if row.openid in known])
            for row, is_new in zip(rows, are_new, strict=True):
                if is_new:
                    counts["new" if row.kind == IMPORTED else "missed_follows"] += 1
            # The fold has already locked these followers' rows, or made them.
            write_profiles(self._account, found, self._turn.now())
            taken = [profile.openid for profile in found]
            Subscriber.objects.filter(account=self._account, openid__in=taken).update(
                listed_in=self._sync.pk
            )
            self._turn.note(counts=counts, taken_to=taken_to)

        self._turn.store(rows, finish)
        self._turn.served += len(openids)
