"""Answers follows, scans and requests to unbind; the operators' rules answer everything else."""

from __future__ import annotations

from django.conf import settings

from events.answering.answer import reply_by_rule
from events.binding_scenes import is_binding_scene
from events.log.registry import DEFER, Defer, reply_handler
from events.models import EventLog
from events.wechat import Reply, TextReply
from subscribers.binding.asking import is_answer, taps, taps_of_sign_in
from subscribers.binding.bind import is_unbind_request
from subscribers.binding.codes import code_in, is_shown_form
from subscribers.binding.wording import occasion_of, words
from subscribers.models import Binding, BindingScan, BindingText, Subscriber

__all__ = ["answer_follow_or_scan", "answer_text"]


def _early_to_follow_or_scan(event: EventLog) -> Reply | Defer | None:
    # The outcome of a binding scan is known after the fold.
    return DEFER if is_binding_scene(event.scene) else reply_by_rule(event)


def _early_to_text(event: EventLog) -> Reply | Defer | None:
    if is_unbind_request(event) or code_in(event) or is_answer(event):
        return DEFER
    return reply_by_rule(event)


@reply_handler("event.subscribe", "event.scan", early=_early_to_follow_or_scan)
def answer_follow_or_scan(event: EventLog) -> Reply | None:
    """Tells the outcome of a binding scan; a rule answers any other follow or scan."""
    scan = _scan_of(event)
    if scan is None:
        return reply_by_rule(event)
    return _outcome(scan)


@reply_handler("text", override=True, early=_early_to_text)
def answer_text(event: EventLog) -> Reply | None:
    """Tells the outcome of a code, an answer or an unbinding; a rule answers any other text."""
    is_code = bool(code_in(event))
    if (is_code or is_answer(event)) and (scan := _scan_of(event)) is not None:
        is_known = scan.request_id is not None or scan.sign_in_id is not None
        is_word = is_code and not is_known and not is_shown_form(event)
        if not is_word:
            return _outcome(scan, is_sent=True)
    if not is_unbind_request(event):
        return reply_by_rule(event)
    ended = (
        Binding.objects.filter(
            subscriber__account=event.account_id,
            subscriber__openid=event.openid,
            unbound_at=event.event_time,
        )
        .select_related("user", "subscriber__account")
        .first()
    )
    if ended is None:
        subscriber = Subscriber.objects.select_related("account").get(
            account=event.account_id, openid=event.openid
        )
        return TextReply(words(BindingText.Occasion.NOT_BOUND, subscriber, None))
    return TextReply(words(BindingText.Occasion.UNBOUND, ended.subscriber, ended.user))


def _scan_of(event: EventLog) -> BindingScan | None:
    return (
        BindingScan.objects.filter(event_id=event.pk, event_time=event.event_time)
        .select_related("subscriber__account", "request__user", "sign_in__user")
        .first()
    )


def _outcome(scan: BindingScan, *, is_sent: bool = False) -> TextReply:
    asking = scan.request or scan.sign_in
    text = words(
        occasion_of(scan),
        scan.subscriber,
        asking.user if asking else None,
        reason=scan.refused_reason,
        # The words about scans speak of bindings.
        is_sent=is_sent or scan.sign_in is not None,
        site=scan.sign_in.site if scan.sign_in else "",
    )
    language = scan.subscriber.language or settings.LANGUAGE_CODE
    if scan.outcome == BindingScan.Outcome.ASKED and scan.request_id is not None:
        text = f"{text}\n\n{taps(scan.request_id, language)}"
    elif scan.outcome == BindingScan.Outcome.SIGN_IN_ASKED and scan.sign_in_id is not None:
        text = f"{text}\n\n{taps_of_sign_in(scan.sign_in_id, language)}"
    return TextReply(text)
