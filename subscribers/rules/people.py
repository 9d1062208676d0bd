"""Tells the reply rules who a follower is, and the names of QR codes and tags."""

from __future__ import annotations

from collections.abc import Iterable

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

    def follower(self, event: EventLog) -> Follower:
        """The follower after this event was folded, with the name of the event's QR code."""
        code = ""
        if event.scene:
            names = QRScene.objects.filter(account=event.account_id, scene=event.scene)
            code = names.values_list("name", flat=True).first() or ""
        subscriber = Subscriber.objects.filter(
            account=event.account_id, openid=event.openid
        ).first()
        if subscriber is None:
            return Follower(code=code)
        binding = (
            Binding.objects.filter(subscriber=subscriber, unbound_at=None)
            .select_related("user")
            .first()
        )
        first = subscriber.first_followed_at
        return Follower(
            tags=frozenset(numbers_in(subscriber.tag_ids.split(","))),
            is_bound=binding is not None,
            is_again=first is not None and first < event.event_time,
            remark=subscriber.remark,
            user=_name_of(binding.user) if binding is not None else "",
            code=code,
        )

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


def _name_of(user: object) -> str:
    full: str = user.get_full_name()  # type: ignore[attr-defined]
    return full or str(user)


people(SitePeople())
