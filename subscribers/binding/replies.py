"""Answers follows, scans and requests to unbind; the operators' rules answer everything else."""

from __future__ import annotations

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from events.answering.answer import reply_by_rule
from events.binding_scenes import is_binding_scene
from events.log.registry import DEFER, Defer, reply_handler
from events.models import EventLog
from events.wechat import Reply, TextReply
from subscribers.binding.bind import is_unbind_request
from subscribers.binding.codes import code_in, is_shown_form
from subscribers.models import Binding, BindingScan, Subscriber

__all__ = ["answer_follow_or_scan", "answer_text"]


def _early_to_follow_or_scan(event: EventLog) -> Reply | Defer | None:
    # The outcome of a binding scan is known after the fold.
    return DEFER if is_binding_scene(event.scene) else reply_by_rule(event)


def _early_to_text(event: EventLog) -> Reply | Defer | None:
    return DEFER if is_unbind_request(event) or code_in(event) else reply_by_rule(event)


@reply_handler("event.subscribe", "event.scan", early=_early_to_follow_or_scan)
def answer_follow_or_scan(event: EventLog) -> Reply | None:
    """Tells the outcome of a binding scan; a rule answers any other follow or scan."""
    scan = _scan_of(event)
    if scan is None:
        return reply_by_rule(event)
    return _text("binding_scan", scan.subscriber, scan=scan)


@reply_handler("text", override=True, early=_early_to_text)
def answer_text(event: EventLog) -> Reply | None:
    """Confirms a binding or unbinding by message; a rule answers any other text."""
    if code_in(event) and (scan := _scan_of(event)) is not None:
        is_word = scan.request_id is None and not is_shown_form(event)
        if not is_word:
            return _text("binding_scan", scan.subscriber, scan=scan, is_sent=True)
    if not is_unbind_request(event):
        return reply_by_rule(event)
    ended = (
        Binding.objects.filter(
            subscriber__account=event.account_id,
            subscriber__openid=event.openid,
            unbound_at=event.event_time,
        )
        .select_related("user", "subscriber")
        .first()
    )
    if ended is None:
        subscriber = Subscriber.objects.get(account=event.account_id, openid=event.openid)
        return _text("unbound", subscriber, user=None)
    return _text("unbound", ended.subscriber, user=ended.user)


def _scan_of(event: EventLog) -> BindingScan | None:
    return (
        BindingScan.objects.filter(event_id=event.pk, event_time=event.event_time)
        .select_related("subscriber", "request__user")
        .first()
    )


def _text(template: str, subscriber: Subscriber, **context: object) -> TextReply:
    with translation.override(subscriber.language or settings.LANGUAGE_CODE):
        text = render_to_string(f"subscribers/replies/{template}.txt", context)
    return TextReply(text.strip())
