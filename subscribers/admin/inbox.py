"""The inbox: who waits for an answer, the conversation, and who the follower is."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.admin.access import AccountModelAdmin
from events.admin.changelist import ReadOnly
from events.audit.record import record, record_look_at_list
from events.db.keyset import RowCursor
from events.models import with_account
from events.viewer import may_see_contents
from events.wechat.api.custom_messages import LONGEST_TEXT, TextMessage
from subscribers.admin.conversation import shown_window
from subscribers.admin.inbox_parts import facts_of, row_of, said_in
from subscribers.inbox.keep import note_messages
from subscribers.inbox.lists import COUNTED_UP_TO, LISTS, beyond, in_list, number_in
from subscribers.messages.send import NotDeliverable, refusal_of, send_message
from subscribers.messages.window import window_of
from subscribers.models import (
    Conversation,
    ConversationLook,
    ConversationNote,
    SavedAnswer,
)

__all__ = ["ConversationAdmin", "SavedAnswerAdmin"]

_ROWS = 50
# Seconds in which one look at a conversation is written once, and after which it is over.
_LOOK_EVERY, _LOOK_LASTS = datetime.timedelta(seconds=10), datetime.timedelta(seconds=30)
_LOOK = "admin/subscribers/conversation/"


class AnswerForm(forms.Form):
    """A text to the follower, or a note to colleagues."""

    text = forms.CharField(max_length=LONGEST_TEXT, strip=True)

    def clean_text(self) -> str:
        # A browser ends lines with two characters, and WeChat counts both.
        text: str = self.cleaned_data["text"].replace("\r\n", "\n").replace("\0", "")
        if len(text.encode()) > LONGEST_TEXT:
            raise forms.ValidationError(
                _("WeChat takes at most 2048 bytes: about 680 Chinese characters.")
            )
        return text


@admin.register(Conversation)
class ConversationAdmin(ReadOnly, AccountModelAdmin):
    """Each page is the inbox, with or without a conversation; acts are forms of its own."""

    holds_personal_data = True

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        acts = ("lines", "write", "note", "assign", "done", "reopen")
        return [
            path("", view(self.inbox), name="subscribers_conversation_changelist"),
            path("rows/", view(self.rows), name="subscribers_conversation_rows"),
            path(
                "<int:object_id>/change/",
                view(self.inbox),
                name="subscribers_conversation_change",
            ),
            *(
                path(
                    f"<int:object_id>/{act}/",
                    view(getattr(self, act)),
                    name=f"subscribers_conversation_{act}",
                )
                for act in acts
            ),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = request.user.has_perms
        neighbours = ("subscribers.view_subscriber", "events.view_eventlog")
        rights = ("subscribers.view_conversation", "subscribers.view_outgoingmessage", *neighbours)
        return bool(may(rights)) and may_see_contents()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).select_related("subscriber", "assigned_to")
        return with_account(rows)

    # --- What is shown --------------------------------------------------------------------------

    def inbox(self, request: HttpRequest, object_id: int | None = None) -> HttpResponse:
        """The list, and the conversation with this number."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if object_id is None:
            record_look_at_list(Conversation, list(request.GET))
            return self._page(request, None, AnswerForm())
        conversation = self._conversation(request, object_id)
        record("look", conversation)
        return self._page(request, conversation, AnswerForm())

    def rows(self, request: HttpRequest) -> HttpResponse:
        """The list alone, which the page asks for again and again."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        opened = request.GET.get("open", "")
        chosen = int(opened) if opened.isascii() and opened.isdigit() else None
        return _fragment(request, "rows.html", self._list(request, chosen))

    def lines(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What was said, and who else looks, likewise."""
        conversation = self._conversation(request, object_id)
        return _fragment(request, "lines.html", self._lines(request, conversation))

    def _page(
        self, request: HttpRequest, conversation: Conversation | None, form: AnswerForm
    ) -> HttpResponse:
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Inbox"),
            **self._list(request, conversation.pk if conversation else None),
        }
        if conversation is not None:
            answers = SavedAnswer.objects.filter(account=conversation.account_id)
            context |= self._lines(request, conversation)
            context |= {
                "form": form,
                "saved_answers": answers,
                "facts": facts_of(request, conversation),
                "may_write": request.user.has_perm("subscribers.add_outgoingmessage"),
                "may_keep": request.user.has_perm("subscribers.change_conversation"),
                "agents": _agents(request, conversation),
            }
        return TemplateResponse(request, f"{_LOOK}inbox.html", context)

    def _list(self, request: HttpRequest, opened: int | None) -> dict[str, Any]:
        now = timezone.now()
        rows = self.get_queryset(request)
        account = request.GET.get("account", "")
        if account:
            rows = rows.filter(account__slug=account)
        name = request.GET.get("list", "waiting")
        name = name if name in LISTS else "waiting"
        chosen = in_list(rows, name, request.user.pk, now)
        column = "window_until" if name in {"waiting", "closing"} else "last_at"
        after = RowCursor.parse(request.GET.get("after"), column)
        if after is not None and after.at is not None:
            chosen = beyond(chosen, name, after.at, after.pk)
        found = list(chosen[: _ROWS + 1])
        query = {"list": name, **({"account": account} if account else {})}
        more = len(found) > _ROWS
        return {
            "rows": [row_of(row, now, opened) for row in found[:_ROWS]],
            "more": urlencode(query | {"after": str(RowCursor.of(found[_ROWS - 1], column))})
            if more
            else "",
            "lists": [
                {
                    "name": LISTS[each],
                    "query": urlencode(query | {"list": each}),
                    "is_chosen": each == name,
                    "number": _number(in_list(rows, each, request.user.pk, now))
                    if each != "all"
                    else "",
                }
                for each in LISTS
            ],
            "query": urlencode(query),
            "rows_query": urlencode(
                query
                | ({"open": opened} if opened else {})
                | ({"after": str(after)} if after else {})
            ),
        }

    def _lines(self, request: HttpRequest, conversation: Conversation) -> dict[str, Any]:
        now = timezone.now()
        subscriber = conversation.subscriber
        window = window_of(subscriber, now)
        refusal = refusal_of(subscriber, window)
        return {
            "conversation": conversation,
            "subscriber": subscriber,
            "said": said_in(conversation),
            "window": shown_window(window, now) if window else None,
            "refusal": refusal.label if refusal else "",
            "others": _others(request, conversation, now),
        }

    def _conversation(self, request: HttpRequest, object_id: int) -> Conversation:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).filter(pk=object_id).first()
        if found is None:
            raise Http404
        assert isinstance(found, Conversation)
        return found

    # --- What people do -------------------------------------------------------------------------

    def write(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Queues a text to the follower; a refusal is shown with what was written."""
        conversation = self._to_change(request, object_id, "subscribers.add_outgoingmessage")
        if isinstance(conversation, HttpResponse):
            return conversation
        form = AnswerForm(request.POST)
        if not form.is_valid():
            return self._page(request, conversation, form)
        try:
            with transaction.atomic():
                text = TextMessage(form.cleaned_data["text"])
                message = send_message(conversation.subscriber, text, by=_user(request))
                note_messages([message], text.content)
                if conversation.assigned_to_id is None:
                    Conversation.objects.filter(pk=conversation.pk).update(assigned_to=request.user)
                record("write", conversation.subscriber)
        except NotDeliverable as refused:
            form.add_error(None, str(refused))
            return self._page(request, conversation, form)
        return self._back(request, conversation)

    def note(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Keeps a note for colleagues."""
        conversation = self._to_change(request, object_id, "subscribers.change_conversation")
        if isinstance(conversation, HttpResponse):
            return conversation
        form = AnswerForm(request.POST)
        if not form.is_valid():
            return self._page(request, conversation, form)
        with transaction.atomic():
            ConversationNote.objects.create(
                conversation=conversation,
                written_by=_user(request),
                text=form.cleaned_data["text"],
            )
            record("note", conversation)
        return self._back(request, conversation)

    def assign(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Gives the conversation to a colleague, or to nobody."""
        conversation = self._to_change(request, object_id, "subscribers.change_conversation")
        if isinstance(conversation, HttpResponse):
            return conversation
        chosen = request.POST.get("to", "")
        agents = {str(agent.pk): agent for agent in _agents(request, conversation)}
        if chosen and chosen not in agents:
            raise Http404
        return self._change(request, conversation, "assign", assigned_to=agents.get(chosen))

    def done(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ends the conversation until the follower writes again."""
        conversation = self._to_change(request, object_id, "subscribers.change_conversation")
        if isinstance(conversation, HttpResponse):
            return conversation
        ended = {"is_done": True, "ended_at": timezone.now(), "waiting_since": None}
        return self._change(request, conversation, "done", **ended)

    def reopen(self, request: HttpRequest, object_id: int) -> HttpResponse:
        conversation = self._to_change(request, object_id, "subscribers.change_conversation")
        if isinstance(conversation, HttpResponse):
            return conversation
        return self._change(request, conversation, "reopen", is_done=False)

    def _to_change(
        self, request: HttpRequest, object_id: int, right: str
    ) -> Conversation | HttpResponse:
        conversation = self._conversation(request, object_id)
        if not request.user.has_perm(right):
            raise PermissionDenied
        return conversation if request.method == "POST" else HttpResponseNotAllowed(["POST"])

    def _change(
        self, request: HttpRequest, conversation: Conversation, act: str, **columns: Any
    ) -> HttpResponse:
        with transaction.atomic():
            Conversation.objects.filter(pk=conversation.pk).update(**columns)
            record(act, conversation)
        return self._back(request, conversation)

    def _back(self, request: HttpRequest, conversation: Conversation) -> HttpResponse:
        page = reverse("admin:subscribers_conversation_change", args=[conversation.pk])
        query = urlencode({k: request.GET[k] for k in ("list", "account") if k in request.GET})
        return HttpResponseRedirect(f"{page}?{query}" if query else page)


def _fragment(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A part of the page; 304 where the browser has the same."""
    html = render_to_string(f"{_LOOK}{template}", context, request)
    etag = f'"{hashlib.blake2b(html.encode(), digest_size=12).hexdigest()}"'
    # It comes back as a weak one where the answer was compressed.
    if request.headers.get("If-None-Match", "").removeprefix("W/") == etag:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(html)
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _number(rows: QuerySet[Conversation]) -> str:
    number = number_in(rows)
    return f"{COUNTED_UP_TO}+" if number > COUNTED_UP_TO else str(number)


def _agents(request: HttpRequest, conversation: Conversation) -> list[User]:
    """Who may have the conversation: colleagues who look at it, who has it, and oneself."""
    looks = User.objects.filter(
        pk__in=ConversationLook.objects.filter(
            conversation__account=conversation.account_id
        ).values("user")
    )
    found = {user.pk: user for user in looks.filter(is_active=True)[:50]}
    for user in (_user(request), conversation.assigned_to):
        if user is not None:
            found[user.pk] = user
    return sorted(found.values(), key=lambda user: user.get_username())


def _others(request: HttpRequest, conversation: Conversation, now: datetime.datetime) -> list[str]:
    """Notes that the user looks, and returns the names of the others who do."""
    looks = {look.user_id: look for look in conversation.looks.select_related("user")}
    user = _user(request)
    own = looks.pop(user.pk, None)
    if own is None or own.at < now - _LOOK_EVERY:
        ConversationLook.objects.bulk_create(
            [ConversationLook(conversation=conversation, user=user, at=now)],
            update_conflicts=True,
            unique_fields=["conversation", "user"],
            update_fields=["at"],
        )
    return [look.user.get_username() for look in looks.values() if look.at > now - _LOOK_LASTS]


@admin.register(SavedAnswer)
class SavedAnswerAdmin(AccountModelAdmin):
    list_display = ["title", "text", "account"]
    list_display_links = ["title"]
    list_select_related = ["account"]
    fields = ["account", "title", "text"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_account(super().get_queryset(request))
