"""The latest messages between a follower and the account, in the order of time.

Acts of the follower that open a window are among them: a menu tap, a follow, a scan.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.answering.hits import rules_that_answered
from events.kinds import label
from events.media.lend import files_of_references
from events.menus.names import MenuName, MenuNames
from events.models import EventLog, MediaFile
from events.search.fill import words_in
from events.stats.series import MESSAGE_KINDS
from events.wechat import Unreadable, xml
from subscribers.inbox.media import files_of
from subscribers.messages.window import ACT_KINDS
from subscribers.models import OutgoingMessage, ReceivedMedia, Subscriber

__all__ = ["KINDS", "Link", "Utterance", "conversation_with", "files_sent", "summary"]

KINDS = {
    "text": _("text"),
    "image": _("image"),
    "voice": _("voice"),
    "video": _("video"),
    "music": _("music (音乐)"),
    "miniprogrampage": _("mini program card (小程序卡片)"),
    "news": _("link card (图文)"),
    "mpnews": _("article (图文素材)"),
    "mpnewsarticle": _("published article"),
    "msgmenu": _("question with answers (msgmenu)"),
}


@dataclass(frozen=True, slots=True)
class Link:
    """A link card that a follower sent; `url` is "" unless browsers may follow it."""

    title: str
    description: str
    url: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """One message or act. It comes from the event `event_id`, or from the row `message`.

    `act` names an act, and a message that is no text. The `text` of an act is its key, with the
    menu's name for it in `menu_name`, or the scene of a QR code, which is in `scene` too.
    `rule` names the rule that made a reply. `received` is a file that the follower sent, `link` a
    link card of the follower, `file` a file of the media library that we sent.
    """

    said_by: Literal["follower", "account"]
    at: datetime.datetime
    text: str
    event_id: int | None = None
    message: OutgoingMessage | None = None
    act: str = ""
    menu_name: MenuName | None = None
    scene: str = ""
    rule: str = ""
    received: ReceivedMedia | None = None
    file: MediaFile | None = None
    link: Link | None = None


def conversation_with(subscriber: Subscriber, *, length: int = 20) -> list[Utterance]:
    """The last `length` messages of each side, oldest first.

    Passive replies are messages of the account.
    """
    events = list(
        EventLog.objects.with_openid(subscriber.openid)
        .filter(Q(kind__in=ACT_KINDS) | ~Q(reply=""), account=subscriber.account_id)
        .newest_first()[:length]
    )
    messages = list(
        subscriber.outgoing_messages.select_related("created_by").order_by("-pk")[:length]
    )
    names = MenuNames.for_events(events)
    files = files_of([event.pk for event in events])
    said = [
        replace(_received(event, names), received=files.get(event.pk))
        for event in events
        if event.kind in ACT_KINDS
    ]
    rules = rules_that_answered(event.pk for event in events if event.reply)
    said += [_replied(event, rules.get(event.pk)) for event in events if _was_heard(event)]
    sent = files_sent(messages)
    said += [_sent(message, sent) for message in messages]
    return sorted(said, key=lambda utterance: utterance.at)


def files_sent(messages: Iterable[OutgoingMessage]) -> dict[int, MediaFile]:
    """The files of the media library in these messages, by the messages' ids, with one query."""
    written = {
        message.pk: (message.account_id, str(message.payload.get("media_id") or ""))
        for message in messages
    }
    found = files_of_references(written.values())
    return {pk: found[named] for pk, named in written.items() if named in found}


def summary(message: OutgoingMessage, files: Mapping[int, MediaFile] | None = None) -> str:
    """A message as one text; `files` are those of `files_sent`, if the caller has read them."""
    payload = message.payload
    if not payload:
        return str(_("(removed)"))
    match message.kind:
        case "text":
            return str(payload["content"])
        case "news":
            article = payload["article"]
            return "\n".join(filter(None, (article["title"], article["description"])))
        case "msgmenu":
            choices = [f"▸ {choice['content']}" for choice in payload["choices"]]
            return "\n".join(filter(None, (payload["head"], *choices, payload["tail"])))
        case kind:
            material = payload.get("media_id") or payload.get("article_id") or ""
            file = (files_sent([message]) if files is None else files).get(message.pk)
            return f"{KINDS.get(kind, kind)} {file.title if file else material}"


def _received(event: EventLog, names: MenuNames) -> Utterance:
    if event.kind not in MESSAGE_KINDS:
        scene = event.masked(event.scene)
        return Utterance(
            "follower",
            event.event_time,
            scene or event.masked(event.event_key),
            event_id=event.pk,
            act=label(event.kind),
            menu_name=names.of(event),
            scene=scene,
        )
    text = event.masked(_content_of(event))
    act = "" if event.kind == "text" else label(event.kind)
    link = _link_of(event) if event.kind == "link" else None
    return Utterance("follower", event.event_time, text, event_id=event.pk, act=act, link=link)


def _link_of(event: EventLog) -> Link | None:
    """The link card of a message; None if its body is gone or has no title."""
    payload = event.payload or {}
    title, description, url = (
        event.masked(value) if isinstance(value, str) else ""
        for value in map(payload.get, ("Title", "Description", "Url"))
    )
    # An agent may click on it, so javascript: and data: make no link.
    is_address = url.lower().startswith(("https://", "http://"))
    return Link(title, description, url if is_address else "") if title else None


def _content_of(event: EventLog) -> str:
    """The words of a message; of a location also its position, of a link also its address."""
    payload = event.payload or {}
    words = words_in(event)
    match event.kind:
        case "location":
            place = f"{payload.get('Location_X', '')}, {payload.get('Location_Y', '')}"
            return "\n".join(filter(None, (words, place)))
        case "link":
            return "\n".join(filter(None, (words, str(payload.get("Url", "")))))
        case _:
            return words


def _replied(event: EventLog, rule: tuple[int, str] | None) -> Utterance:
    try:
        reply = xml.parse(event.passive_reply.encode())
    except Unreadable:
        reply = {}
    content = reply.get("Content")
    kind = str(reply.get("MsgType", ""))
    text = content if isinstance(content, str) else str(KINDS.get(kind, kind))
    at = event.answered_at or event.received_at
    name = "" if rule is None else rule[1] or f"#{rule[0]}"
    return Utterance("account", at, event.masked(text), event_id=event.pk, rule=name)


def _was_heard(event: EventLog) -> bool:
    """Whether the reply went out as the answer to a push."""
    return event.answered_by == EventLog.AnsweredBy.REPLY


def _sent(message: OutgoingMessage, files: Mapping[int, MediaFile]) -> Utterance:
    return Utterance(
        "account",
        message.sent_at or message.created_at,
        summary(message, files),
        message=message,
        file=files.get(message.pk),
    )
