"""Asks WeChat about our followers who were not on its list.

Those without a mark who have done nothing since the run began are asked about; those who no longer
follow enter the log as missed unfollows.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence

from django.db.models import Q, QuerySet

from events.models import EventLog
from subscribers.models import Subscriber
from subscribers.sync.observations import MISSED_UNFOLLOW, Erased, observation, refuse_if_erased
from subscribers.sync.turn import CHUNK, Turn

__all__ = ["UnlistedFollowers"]


class UnlistedFollowers:
    """Asks about our followers without a mark, from where an earlier turn stopped."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._sync = turn.sync
        self._account = turn.account

    def ask_about_all(self) -> None:
        """Asks about all of them; raises OutOfTime, AccountSwitchedOff, or an APIError."""
        while people := list(self._unlisted()[:CHUNK]):
            # If one of them was erased meanwhile, the others are asked about anew.
            with contextlib.suppress(Erased):
                self._confirm(people)
            self._turn.end_step()

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
        for _, _openid, profile in self._turn.profiles(list(ids)):
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
                        now=self._turn.now(),
                    )
                )

        def finish(are_new: Sequence[bool]) -> None:
            refuse_if_erased([ids[row.openid] for row in rows])
            counts["missed_unfollows"] = sum(are_new)
            self._turn.note(counts=counts, last_subscriber=people[-1].pk)

        self._turn.store(rows, finish)
        self._turn.served += len(people)
