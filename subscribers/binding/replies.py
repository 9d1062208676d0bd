"""Answers follows, scans and requests to unbind; the operators' rules answer everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from django.conf import settings

from events.answering.answer import note_early_replies, reply_by_rule
from events.binding_scenes import is_binding_scene
from events.log.registry import DEFER, Defer, reply_handler
from events.models import EventLog
from events.wechat import Reply, TextReply
from subscribers.binding.asking import is_answer, taps, taps_of_sign_in
from subscribers.binding.bind import is_unbind_request
from subscribers.binding.codes import code_in, is_shown_form
from subscribers.binding.wording import occasion_of, words
from subscribers.models import Binding, BindingScan, BindingText, Subscriber

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["answer_follow_or_scan", "answer_text"]


_Words = Callable[..., str]
# The attribute in which an event that is not stored yet keeps the reply of a rule.
_BY_RULE = "reply_by_rule"


def _early_to_follow_or_scan(event: EventLog) -> Reply | Defer | None:
    # The outcome of a binding scan is known only after the fold.
    return DEFER if is_binding_scene(event.scene) else reply_by_rule(event)


def _early_to_text(event: EventLog) -> Reply | Defer | None:
    if not (is_unbind_request(event) or code_in(event) or is_answer(event)):
        return reply_by_rule(event)
    is_stored = event.pk is not None
    if not is_stored:
        event.__dict__[_BY_RULE] = reply_by_rule(event)
    return DEFER


def _to_folded_scans(events: Sequence[EventLog]) -> list[Reply | Defer | None]:
    scans = _scans_of(events)
    say = _cached_words(words)
    return [_outcome(scans[event.pk], say) if event.pk in scans else DEFER for event in events]


def _to_folded_texts(events: Sequence[EventLog]) -> list[Reply | Defer | None]:
    scans = _scans_of(events)
    say = _cached_words(words)
    replies: list[Reply | Defer | None] = []
    by_rule = []
    for event in events:
        reply = _to_text(event, scans.get(event.pk), say)
        if reply is DEFER and _BY_RULE in event.__dict__:
            reply = event.__dict__[_BY_RULE]
            by_rule.append(event)
        replies.append(reply)
    note_early_replies(by_rule)
    return replies


@reply_handler(
    "event.subscribe",
    "event.scan",
    early=_early_to_follow_or_scan,
    with_fold=_to_folded_scans,
)
def answer_follow_or_scan(event: EventLog) -> Reply | None:
    """Replies with the outcome of a binding scan; a rule answers any other follow or scan."""
    scan = _scans_of([event]).get(event.pk)
    return reply_by_rule(event) if scan is None else _outcome(scan, words)


@reply_handler("text", override=True, early=_early_to_text, with_fold=_to_folded_texts)
def answer_text(event: EventLog) -> Reply | None:
    """Replies with the outcome of a code, answer or unbinding; a rule answers any other text."""
    reply = _to_text(event, _scans_of([event]).get(event.pk), words)
    return reply_by_rule(event) if reply is DEFER else reply


def _to_text(event: EventLog, scan: BindingScan | None, say: _Words) -> Reply | Defer:
    """The reply about a binding or a sign-in; DEFER leaves the text to the rules."""
    is_code = bool(code_in(event))
    if (is_code or is_answer(event)) and scan is not None:
        is_known = scan.request_id is not None or scan.sign_in_id is not None
        is_word = is_code and not is_known and not is_shown_form(event)
        if not is_word:
            return _outcome(scan, say, is_sent=True)
    if not is_unbind_request(event):
        return DEFER
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
        return TextReply(say(BindingText.Occasion.NOT_BOUND, subscriber, None))
    return TextReply(say(BindingText.Occasion.UNBOUND, ended.subscriber, ended.user))


def _scans_of(events: Sequence[EventLog]) -> dict[int, BindingScan]:
    """The stored outcomes of these events, by event id."""
    scans = BindingScan.objects.filter(
        event_id__in=[event.pk for event in events],
        event_time__in={event.event_time for event in events},
    )
    related = scans.select_related("subscriber__account", "request__user", "sign_in__user")
    return {scan.event_id: scan for scan in related}


def _cached_words(say: _Words) -> _Words:
    """Wraps `say` so that equal replies of a batch read the database once."""
    said: dict[tuple[object, ...], str] = {}

    def remembered(occasion: str, subscriber: Subscriber, user: User | None, **more: object) -> str:
        key = (
            *(occasion, subscriber.account_id, subscriber.language, user and user.pk),
            *more.items(),
        )
        if key not in said:
            said[key] = say(occasion, subscriber, user, **more)
        return said[key]

    return remembered


def _outcome(scan: BindingScan, say: _Words, *, is_sent: bool = False) -> TextReply:
    asking = scan.request or scan.sign_in
    text = say(
        occasion_of(scan),
        scan.subscriber,
        asking.user if asking else None,
        reason=scan.refused_reason,
        # A sign-in takes the words for sent codes, because the words for scans are about bindings.
        is_sent=is_sent or scan.sign_in is not None,
        site=scan.sign_in.site if scan.sign_in else "",
    )
    language = scan.subscriber.language or settings.LANGUAGE_CODE
    if scan.outcome == BindingScan.Outcome.ASKED and scan.request_id is not None:
        text = f"{text}\n\n{taps(scan.request_id, language)}"
    elif scan.outcome == BindingScan.Outcome.SIGN_IN_ASKED and scan.sign_in_id is not None:
        text = f"{text}\n\n{taps_of_sign_in(scan.sign_in_id, language)}"
    return TextReply(text)
