"""The conversation on a follower's page, and the message that an operator adds to it."""

from __future__ import annotations

import datetime
import re
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import avoid_wrapping
from django.utils.timesince import TIME_STRINGS
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from events.admin.html import menu_name, moment
from events.admin.media.media_widget import address_of_poster
from events.platform.hindrances import hindrance
from events.viewer import may_see_contents
from events.wechat.api.custom_messages import SEND_PATH
from subscribers.admin.messages.message_form import MessageForm
from subscribers.admin.messages.messages import MESSAGE_COLOURS
from subscribers.inbox.media import FAILURES
from subscribers.messages.conversation import Utterance, conversation_with
from subscribers.messages.send import NotDeliverable, refusal_of, send_message
from subscribers.messages.window import ACTS, Window, window_of
from subscribers.models import Subscriber
from subscribers.models.outgoing_message import MessageState
from subscribers.qr_codes.code_names import CodeNames

__all__ = [
    "WithConversation",
    "shown_utterance",
    "shown_utterances",
    "shown_window",
    "why_not",
]

# A link of a question with choices: a tap sends the link's words.
_TAP = re.compile(r'<a href="weixin://bizmsgmenu\?[^"]*">(.*?)</a>')


class WithConversation:
    """The part of a follower's page that shows the conversation and takes a message."""

    change_form_outer_after_template = "admin/subscribers/subscriber/conversation.html"

    def get_urls(self) -> list[Any]:
        write = path(
            "<int:object_id>/write/",
            self.admin_site.admin_view(self.write),  # type: ignore[attr-defined]
            name="subscribers_subscriber_write",
        )
        return [write, *super().get_urls()]  # type: ignore[misc]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if isinstance(subscriber := context.get("original"), Subscriber):
            context |= self._conversation(request, subscriber)
        response: HttpResponse = super().render_change_form(  # type: ignore[misc]
            request, context, *args, **kwargs
        )
        return response

    def write(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Queues a message; on errors shows the form again with what was typed."""
        subscriber = self.get_object(request, str(object_id))  # type: ignore[attr-defined]
        may_see = self.has_view_permission(request, subscriber)  # type: ignore[attr-defined]
        if subscriber is None or not (may_see and _may_write(request)):
            raise Http404
        form = MessageForm(request.POST or None, account=subscriber.account_id)
        if request.method == "POST" and form.is_valid():
            try:
                with transaction.atomic():
                    send_message(subscriber, form.message, by=request.user)  # type: ignore[arg-type]
                    self.log_change(request, subscriber, "write")  # type: ignore[attr-defined]
            except NotDeliverable as refused:
                form.add_error(None, str(refused))
            else:
                messages.success(request, _("The message is queued."))
                page = reverse("admin:subscribers_subscriber_change", args=[subscriber.pk])
                return HttpResponseRedirect(f"{page}#conversation")
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            **self._conversation(request, subscriber),
            "opts": self.opts,  # type: ignore[attr-defined]
            "title": str(subscriber),
            "original": subscriber,
            "form": form,
        }
        return TemplateResponse(request, "admin/subscribers/subscriber/write.html", context)

    def _conversation(self, request: HttpRequest, subscriber: Subscriber) -> dict[str, Any]:
        if not (
            request.user.has_perm("subscribers.view_outgoingmessage")
            and request.user.has_perm("events.view_eventlog")
            and may_see_contents()
        ):
            return {}
        now = timezone.now()
        window = window_of(subscriber, now)
        refusal = why_not(subscriber, window)
        return {
            "conversation": shown_utterances(conversation_with(subscriber), subscriber),
            "window": shown_window(window, now) if window else None,
            "refusal": refusal,
            "message_form": MessageForm(account=subscriber.account_id)
            if _may_write(request)
            else None,
            "subscriber": subscriber,
        }


def why_not(subscriber: Subscriber, window: Window | None) -> str:
    """Why no message can be sent to this follower, in a sentence; "" if one can."""
    hindered = hindrance(subscriber.account_id, SEND_PATH)
    if hindered is not None:
        return str(hindered)
    refusal = refusal_of(subscriber, window)
    return str(refusal.label) if refusal else ""


def shown_utterances(said: list[Utterance], subscriber: Subscriber) -> list[dict[str, Any]]:
    """Prepares utterances for templates; a scene gets the name of its code."""
    codes = CodeNames([subscriber.account_id], (each.scene for each in said))
    return [shown_utterance(each, subscriber, codes) for each in said]


def shown_utterance(said: Utterance, subscriber: Subscriber, codes: CodeNames) -> dict[str, Any]:
    """Prepares one utterance for templates; a scene gets the name of its code."""
    message = said.message
    text = codes.in_words(subscriber.account_id, said.scene) or said.text
    return {
        "said_by": said.said_by,
        "at": moment(said.at, subscriber.account),
        "time": said.at,
        "text": _without_taps(text) if said.said_by == "account" else text,
        "act": said.act,
        "link": said.link,
        "menu_name": menu_name(said.menu_name),
        "rule": said.rule,
        "url": _page_of(said),
        "key": f"m{message.pk}" if message else f"{said.said_by}{said.event_id}",
        "message": message,
        "media": _media_of(said),
        "colour": MESSAGE_COLOURS[MessageState(message.state)] if message else "",
    }


def _without_taps(text: str) -> str:
    """Replaces links that answer a question by the words that the follower sees."""
    return _TAP.sub(r"[\1]", text)


def _media_of(said: Utterance) -> dict[str, Any] | None:
    """The file of a message, or why it is missing, for admin/pieces/media.html."""
    if (file := said.file) is not None:
        url = reverse("admin:events_mediafile_file", args=[file.pk])
        poster = address_of_poster(file)
        return {"kind": file.kind, "url": url, "poster": poster, "title": file.title}
    media = said.received
    if media is None:
        return None
    if not media.file:
        waits = media.due_at is not None
        return {"waits": waits, "why": str(FAILURES.get(media.failure, ""))}
    url = reverse("admin:subscribers_conversation_file", args=[media.pk])
    kind = media.content_type.partition("/")[0]
    # Browsers play no AMR.
    kind = {"audio": "voice"}.get(kind, kind) if media.content_type != "audio/amr" else "download"
    poster = (
        reverse("admin:subscribers_conversation_poster", args=[media.pk]) if media.poster else ""
    )
    return {"kind": kind, "url": url, "poster": poster, "title": said.act}


def _page_of(said: Utterance) -> str:
    if said.message is not None:
        return reverse("admin:subscribers_outgoingmessage_change", args=[said.message.pk])
    return reverse("admin:events_eventlog_change", args=[said.event_id])


def _may_write(request: HttpRequest) -> bool:
    return request.user.has_perm("subscribers.add_outgoingmessage")


def _two_parts(seconds: int) -> str:
    """A duration in its two largest units, such as 1 day 23 hours."""
    parts: list[str] = []
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        number, seconds = divmod(seconds, length)
        if number or parts:
            parts.append(TIME_STRINGS[unit] % {"num": number} if number else "")
    return " ".join(avoid_wrapping(part) for part in parts[:2] if part)


def shown_window(window: Window, now: datetime.datetime) -> dict[str, Any]:
    """Prepares a message window for templates, with the time that is left."""
    seconds = int((window.until - now).total_seconds())
    left = (
        ngettext("%s second", "%s seconds", seconds) % seconds
        if seconds < 120
        else _two_parts(seconds)
    )
    return {
        "act": ACTS[window.act],
        "left": left,
        "remaining": window.remaining,
        "allowed": window.allowed,
    }
