"""Filters of the lists of followers, QR codes, bindings and messages."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django_filters.rest_framework import FilterSet
from rest_framework.exceptions import PermissionDenied

from events.api.name_filters import NameFilter, SceneFilter, scenes_are_in
from events.api.strict_filters import (
    AccountFilter,
    MomentFilter,
    OpenIDFilter,
    TruthFilter,
    ValuesFilter,
)
from events.models import OfficialAccount
from events.viewer import may
from subscribers.models import (
    Binding,
    BindingRequest,
    FollowerTag,
    OutgoingMessage,
    QRScene,
    SeenScene,
    Subscriber,
)
from subscribers.models.hour import hour_of
from subscribers.models.outgoing_message import MessageState, OutgoingMessageQuerySet
from subscribers.models.qr_code import QRSceneQuerySet
from subscribers.tagging.tag_names import with_tag

__all__ = [
    "BindingFilter",
    "BindingRequestFilter",
    "OutgoingMessageFilter",
    "QRSceneFilter",
    "SubscriberFilter",
]


@scenes_are_in
def _codes(scene: str) -> QuerySet[QRScene]:
    # The unique index begins with the account, so the condition names all accounts.
    return QRScene.objects.filter(account__in=OfficialAccount.objects.values("pk"), scene=scene)


@scenes_are_in
def _seen(scene: str) -> QuerySet[SeenScene]:
    return SeenScene.objects.filter(account__in=OfficialAccount.objects.values("pk"), scene=scene)


@scenes_are_in
def _first_of_followers(scene: str) -> QuerySet[Subscriber]:
    return Subscriber.objects.filter(first_scene=scene).exclude(first_scene="")


@scenes_are_in
def _last_of_followers(scene: str) -> QuerySet[Subscriber]:
    return Subscriber.objects.filter(last_scene=scene).exclude(last_scene="")


def _codes_with_tag(name: str) -> QuerySet[QRScene]:
    return QRScene.objects.filter(tags__name=name)


def _follower_tags(name: str) -> QuerySet[FollowerTag]:
    return FollowerTag.objects.filter(name=name)


def _users(name: str) -> QuerySet[Any]:
    return get_user_model()._default_manager.filter(username=name)


class SubscriberFilter(FilterSet):
    account = AccountFilter()
    openid = OpenIDFilter("openid")
    unionid = OpenIDFilter(method="by_indexed_text", label="The person across accounts.")
    is_following = TruthFilter("is_following")
    first_scene = SceneFilter(
        method="by_indexed_text", label="Scene of the first follow or scan of a QR code."
    )
    last_scene = SceneFilter(
        method="by_indexed_text", label="Scene of the last follow or scan of a QR code."
    )
    followed_after = MomentFilter("last_followed_at", "gte", label="Last follow, from then on.")
    followed_before = MomentFilter("last_followed_at", "lt", label="Last follow, before then.")
    updated_after = MomentFilter(method="by_change", label="Changed, from then on.")
    tag = NameFilter(
        method="by_tag", rows=[_follower_tags], label="The name of one of WeChat's tags (标签)."
    )
    bound = TruthFilter(method="by_bound", label="Bound to a site account now.")

    class Meta:
        model = Subscriber
        fields: list[str] = []

    def by_indexed_text(
        self, subscribers: QuerySet[Subscriber], name: str, value: str
    ) -> QuerySet[Subscriber]:
        # SQLite uses the partial index only if the query repeats its condition.
        return subscribers.filter(**{name: value}).exclude(**{name: ""})

    def by_tag(
        self, subscribers: QuerySet[Subscriber], name: str, value: str
    ) -> QuerySet[Subscriber]:
        tagged = Q(pk__in=[])
        for account, number in FollowerTag.objects.filter(name=value).values_list(
            "account", "number"
        ):
            tagged |= Q(account=account) & with_tag(number)
        return subscribers.filter(tagged)

    def by_change(
        self, subscribers: QuerySet[Subscriber], name: str, value: datetime.datetime
    ) -> QuerySet[Subscriber]:
        # The index begins with the hour.
        return subscribers.filter(updated_hour__gte=hour_of(value), updated_at__gte=value)

    def by_bound(
        self, subscribers: QuerySet[Subscriber], name: str, value: bool
    ) -> QuerySet[Subscriber]:
        if not may("subscribers.view_binding"):
            raise PermissionDenied
        bound = Exists(Binding.objects.active().filter(subscriber=OuterRef("pk")))
        return subscribers.filter(bound if value else ~bound)


class QRSceneFilter(FilterSet):
    account = AccountFilter()
    scene = SceneFilter("scene")
    tag = NameFilter("tags__name", rows=[_codes_with_tag], label="One of its tags.")
    state = ValuesFilter(
        choices=QRScene.State.choices, method="by_state", label="What can be done with it now."
    )

    class Meta:
        model = QRScene
        fields: list[str] = []

    def by_state(self, scenes: QRSceneQuerySet, name: str, value: list[str]) -> QRSceneQuerySet:
        if not value:
            return scenes
        now = timezone.now()
        first, *others = (scenes.in_state(QRScene.State(state), now) for state in value)
        for other in others:
            first |= other
        return first


class BindingFilter(FilterSet):
    account = AccountFilter()
    openid = OpenIDFilter("subscriber__openid", label="The follower.")
    user = NameFilter(
        "user__username", rows=[_users], account=None, label="User name of the site account."
    )
    bound_after = MomentFilter("bound_at", "gte", label="Bound, from then on.")
    bound_before = MomentFilter("bound_at", "lt", label="Bound, before then.")
    unbound_after = MomentFilter("unbound_at", "gte", label="Unbound, from then on.")
    unbound_before = MomentFilter("unbound_at", "lt", label="Unbound, before then.")
    active = TruthFilter(
        "unbound_at", lookup_expr="isnull", label="true: not unbound; false: history."
    )

    class Meta:
        model = Binding
        fields: list[str] = []


class BindingRequestFilter(FilterSet):
    account = AccountFilter()
    user = NameFilter(
        "user__username", rows=[_users], account=None, label="User name of the site account."
    )

    class Meta:
        model = BindingRequest
        fields: list[str] = []


class OutgoingMessageFilter(FilterSet):
    account = AccountFilter()
    openid = OpenIDFilter("subscriber__openid", label="The follower.")
    state = ValuesFilter(
        choices=MessageState.choices, method="by_state", label="What became of the message."
    )
    created_after = MomentFilter("created_at", "gte", label="Queued, from then on.")
    created_before = MomentFilter("created_at", "lt", label="Queued, before then.")

    class Meta:
        model = OutgoingMessage
        fields: list[str] = []

    def by_state(
        self, messages: OutgoingMessageQuerySet, name: str, value: list[str]
    ) -> OutgoingMessageQuerySet:
        return messages.in_states(*value) if value else messages
