"""Tells the reply rules who a follower is, and the names of QR codes and tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from events.answering.people_slot import people
from events.models import EventLog
from events.numbers import numbers_in
from events.rules.decide import Follower
from subscribers.models import Binding, FollowerTag, QRScene, Subscriber

__all__ = ["SitePeople"]

# The most codes that a form offers to choose from.
_MOST_CODES = 2000


class SitePeople:
    """Answers the reply rules' questions about followers, from this app's tables."""

    def followers(self, events: Sequence[EventLog]) -> list[Follower]:
        """The followers after these events were folded, with the names of the events' QR codes."""
        accounts = {event.account_id for event in events}
        codes: dict[tuple[int, str], str] = {}
        if scenes := {event.scene for event in events} - {""}:
            rows = QRScene.objects.filter(account__in=accounts, scene__in=scenes)
            codes = {
                (row[0], row[1]): row[2] for row in rows.values_list("account", "scene", "name")
            }
        openids = {event.openid for event in events}
        subscribers = {
            (row.account_id, row.openid): row
            for row in Subscriber.objects.filter(account__in=accounts, openid__in=openids)
        }
        ids = [row.pk for row in subscribers.values()]
        bindings = Binding.objects.filter(subscriber__in=ids, unbound_at=None)
        users = {row.subscriber_id: row.user for row in bindings.select_related("user")}
        return [
            _follower(
                event,
                subscribers.get((event.account_id, event.openid)),
                users,
                codes.get((event.account_id, event.scene), ""),
            )
            for event in events
        ]

    def code_names(self, account_id: int) -> dict[str, str]:
        codes = QRScene.objects.filter(account=account_id).order_by("-pk")
        return dict(codes.values_list("scene", "name")[:_MOST_CODES])

    def scene_names(
        self, accounts: Iterable[int], scenes: Iterable[str]
    ) -> dict[tuple[int, str], str]:
        return QRScene.objects.names_of(accounts, scenes)

    def tag_names(self, account_id: int) -> dict[int, str]:
        tags = FollowerTag.objects.filter(account=account_id).order_by("name", "number")
        return dict(tags.values_list("number", "name"))


def _follower(
    event: EventLog, subscriber: Subscriber | None, users: Mapping[int, object], code: str
) -> Follower:
    """`users` are those who are bound now, by the ids of their followers."""
    if subscriber is None:
        return Follower(code=code)
    first = subscriber.first_followed_at
    is_bound = subscriber.pk in users
    return Follower(
        tags=frozenset(numbers_in(subscriber.tag_ids.split(","))),
        is_bound=is_bound,
        is_again=first is not None and first < event.event_time,
        remark=subscriber.remark,
        user=_name_of(users[subscriber.pk]) if is_bound else "",
        code=code,
    )


def _name_of(user: object) -> str:
    full: str = user.get_full_name()  # type: ignore[attr-defined]
    return full or str(user)


people(SitePeople())
