"""The page of one person across accounts; a follower's page links to it."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from events.admin.html import moment
from events.audit.record import record
from events.viewer import may_see_contents, may_see_openids, shown_openid
from subscribers.admin.followers.follower_filters import may_see_bindings
from subscribers.admin.messages.conversation_page import shown_utterance
from subscribers.models import Subscriber
from subscribers.person.followers import followers_of_person
from subscribers.person.timeline import Moment, Part, timeline
from subscribers.qr_codes.code_names import CodeNames

__all__ = ["WithPerson"]


class WithPerson:
    """Shows the same person under other accounts, and all their acts in one timeline."""

    def has_person_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("subscribers.view_subscriber")

    @action(description=_("Other accounts"), url_path="person", permissions=["person"])
    def person(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Shows only the accounts that the operator may see, and does not hint at others."""
        subscriber = self.get_object(request, object_id)  # type: ignore[attr-defined]
        if not isinstance(subscriber, Subscriber):
            raise Http404
        followers = followers_of_person(subscriber, seen_by=request.user)
        for follower in followers:
            record("look", follower)
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,  # type: ignore[attr-defined]
            "original": subscriber,
            "title": _("One person across accounts"),
            "has_unionid": bool(subscriber.unionid),
            "unionid": subscriber.unionid if may_see_openids() else "",
            "sees_bindings": may_see_bindings(),
            "followers": [_row(follower) for follower in followers],
            "moments": _shown_moments(timeline(followers, _parts(request))),
        }
        return TemplateResponse(request, "admin/subscribers/subscriber/person.html", context)


def _parts(request: HttpRequest) -> frozenset[Part]:
    parts: set[Part] = set()
    if request.user.has_perm("events.view_eventlog"):
        parts.add("events")
        if request.user.has_perm("subscribers.view_outgoingmessage") and may_see_contents():
            parts.add("words")
    if may_see_bindings():
        parts.add("bindings")
    return frozenset(parts)


def _row(follower: Any) -> dict[str, Any]:
    return {
        "pk": follower.pk,
        "account": follower.account.name,
        "openid": shown_openid(follower.openid),
        "status": follower.follow_status,
        "first": moment(follower.first_followed_at, follower.account),
        "seen": moment(follower.last_seen_at, follower.account),
        "events": follower.event_count,
        "user": follower.bound_username or "–",
    }


def _shown_moments(moments: list[Moment]) -> list[dict[str, Any]]:
    said = [each.said.scene for each in moments if each.said is not None]
    events = [each.event.scene for each in moments if each.event is not None]
    codes = CodeNames((each.subscriber.account_id for each in moments), [*said, *events])
    return [_shown(each, codes) for each in moments]


def _shown(each: Moment, codes: CodeNames) -> dict[str, Any]:
    account = each.subscriber.account
    shown: dict[str, Any] = {"account": account.name, "at": moment(each.at, account)}
    if each.said is not None:
        shown["said"] = shown_utterance(each.said, each.subscriber, codes)
    elif each.event is not None:
        shown |= {"event": each.event.pk, "act": each.act}
        scene = codes.in_words(account.pk, each.event.scene)
        shown["key"] = each.event.masked(scene or each.event.event_key)
    elif each.binding is not None:
        user = each.binding.user
        shown |= {"binding": True, "user": user.get_username() if user else "–"}
        shown["ends"] = each.ends_binding
    return shown
