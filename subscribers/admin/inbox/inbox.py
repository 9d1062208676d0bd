"""The inbox: who waits for an answer, the conversation, and who the follower is."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
)
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext_lazy as _

from events.admin.access import AccountModelAdmin
from events.admin.changelist import ReadOnly
from events.admin.media.media_widget import MediaSelect, library
from events.admin.media.private_file import private_file
from events.audit.record import record, record_look_at_list
from events.media.lend import file_of, message_of_file
from events.models import ACCOUNT_SECRETS, OfficialAccount
from events.numbers import number_in
from events.viewer import may_see_contents, visible_to
from events.wechat.api.custom_messages import TextMessage
from subscribers.admin.inbox.answer_form import AnswerForm
from subscribers.admin.inbox.colleagues import agents_of, others_at, signed_in
from subscribers.admin.inbox.inbox_list import list_of
from subscribers.admin.inbox.inbox_parts import facts_of, said_in
from subscribers.admin.messages.conversation_page import shown_window, why_not
from subscribers.inbox.keep import note_messages
from subscribers.messages.conversation import summary
from subscribers.messages.send import NotDeliverable, send_message
from subscribers.messages.window import window_of
from subscribers.models import (
    Conversation,
    ConversationNote,
    ReceivedMedia,
    SavedAnswer,
    Subscriber,
)
from subscribers.models.outgoing_message import FAILURES

__all__ = ["ConversationAdmin"]

_TEMPLATES = "admin/subscribers/conversation/"


@admin.register(Conversation)
class ConversationAdmin(ReadOnly, AccountModelAdmin):
    """Each page is the inbox, with or without a conversation; each act has its own address."""

    holds_personal_data = True

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        acts = ("lines", "write", "note", "assign", "done", "reopen")
        return [
            path("", view(self.inbox), name="subscribers_conversation_changelist"),
            path("<int:pk>/file/", view(self.file), name="subscribers_conversation_file"),
            path("<int:pk>/poster/", view(self.poster), name="subscribers_conversation_poster"),
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
        # No joins to accounts and agents: these tables are small, so SQLite would begin with
        # them, and sort all conversations instead of walking along their index.
        accounts = OfficialAccount.objects.defer(*ACCOUNT_SECRETS)
        rows = super().get_queryset(request).select_related(None).defer(None)
        rows = rows.select_related("subscriber")
        return rows.prefetch_related("assigned_to", Prefetch("account", accounts))

    def file(self, request: HttpRequest, pk: int) -> FileResponse:
        """A picture, voice or video that a follower sent."""
        found = self._received(request, pk)
        return _cached_briefly(private_file(found.file.name or "", found.content_type))

    def poster(self, request: HttpRequest, pk: int) -> FileResponse:
        """The preview picture of a video that a follower sent."""
        return _cached_briefly(private_file(self._received(request, pk).poster.name or ""))

    def _received(self, request: HttpRequest, pk: int) -> ReceivedMedia:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = visible_to(request.user, ReceivedMedia.objects.all()).filter(pk=pk).first()
        if found is None:
            raise Http404
        return found

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
        """Only the list; the page polls this address."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = number_in(request.GET.get("open"))
        return _fragment(request, "rows.html", list_of(request, self.get_queryset(request), chosen))

    def lines(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Only the conversation, and who else looks at it; the page polls this address too."""
        conversation = self._conversation(request, object_id)
        return _fragment(request, "lines.html", self._lines(request, conversation))

    def _page(
        self, request: HttpRequest, conversation: Conversation | None, form: AnswerForm
    ) -> HttpResponse:
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Inbox"),
            **list_of(
                request, self.get_queryset(request), conversation.pk if conversation else None
            ),
        }
        if conversation is not None:
            answers = SavedAnswer.objects.filter(account=conversation.account_id)
            context |= self._lines(request, conversation)
            context |= {
                "form": form,
                "saved_answers": answers,
                "files": _files_to_send(conversation),
                "facts": facts_of(request, conversation),
                "may_write": request.user.has_perm("subscribers.add_outgoingmessage"),
                "may_keep": request.user.has_perm("subscribers.change_conversation"),
                "agents": agents_of(request, conversation),
            }
        return TemplateResponse(request, f"{_TEMPLATES}inbox.html", context)

    def _lines(self, request: HttpRequest, conversation: Conversation) -> dict[str, Any]:
        now = timezone.now()
        subscriber = conversation.subscriber
        window = window_of(subscriber, now)
        refusal = why_not(subscriber, window)
        said = said_in(conversation)
        heard = (line["time"] for line in said if line["said_by"] == "follower")
        return {
            "conversation": conversation,
            "subscriber": subscriber,
            "said": said,
            "seen": max(heard, default=None),
            "window": shown_window(window, now) if window else None,
            "refusal": refusal,
            "others": others_at(request, conversation, now),
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
        """Queues a text or a file to the follower; if refused, shows why and keeps the text."""
        conversation = self._to_change(request, object_id, "subscribers.add_outgoingmessage")
        if isinstance(conversation, HttpResponse):
            return conversation
        file = file_of(request.POST.get("file", ""), conversation.account_id)
        form = AnswerForm(request.POST)
        form.fields["text"].required = file is None
        if file is None and not form.is_valid():
            return self._page(request, conversation, form)
        content = message_of_file(file) if file else TextMessage(form.cleaned_data["text"])
        try:
            with transaction.atomic():
                message = send_message(conversation.subscriber, content, by=signed_in(request))
                note_messages([message], summary(message))
                if conversation.assigned_to_id is None:
                    # Checks the condition again: a colleague may have taken it meanwhile.
                    free = Conversation.objects.filter(pk=conversation.pk, assigned_to=None)
                    free.update(assigned_to=request.user)
                record("write", conversation.subscriber)
        except NotDeliverable as refused:
            form.add_error(None, str(refused))
            return self._page(request, conversation, form)
        return self._back(request, conversation, "#taken")

    def note(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Saves a note for colleagues."""
        conversation = self._to_change(request, object_id, "subscribers.change_conversation")
        if isinstance(conversation, HttpResponse):
            return conversation
        form = AnswerForm(request.POST)
        if not form.is_valid():
            return self._page(request, conversation, form)
        with transaction.atomic():
            # An erasure locks the follower too, and removes the notes.
            follower = Subscriber.objects.held().get(pk=conversation.subscriber_id)
            if follower.erased_at is None:
                ConversationNote.objects.create(
                    conversation=conversation,
                    written_by=signed_in(request),
                    text=form.cleaned_data["text"],
                )
                record("note", conversation)
                return self._back(request, conversation, "#taken")
        form.add_error(None, FAILURES["erased"])
        return self._page(request, conversation, form)

    def assign(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Gives the conversation to a colleague, or to nobody."""
        conversation = self._to_change(request, object_id, "subscribers.change_conversation")
        if isinstance(conversation, HttpResponse):
            return conversation
        chosen = request.POST.get("to", "")
        agents = {str(agent.pk): agent for agent in agents_of(request, conversation)}
        if chosen and chosen not in agents:
            raise Http404
        return self._change(request, conversation, "assign", assigned_to=agents.get(chosen))

    def done(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ends the conversation until the follower writes again.

        If the follower wrote something that the page does not show yet, only warns the user.
        """
        conversation = self._to_change(request, object_id, "subscribers.change_conversation")
        if isinstance(conversation, HttpResponse):
            return conversation
        with transaction.atomic():
            present = Conversation.objects.select_for_update().get(pk=conversation.pk)
            # WeChat's clock may be ahead of ours.
            latest = max(timezone.now(), present.last_at)
            seen = _moment_in(request.POST.get("seen", ""), latest=latest)
            if not present.last_kind or present.last_at <= seen:
                ended = {"is_done": True, "ended_at": seen, "waiting_since": None}
                return self._change(request, conversation, "done", **ended)
        messages.warning(request, _("Something has changed meanwhile. Look at it once more."))
        return self._back(request, conversation)

    def reopen(self, request: HttpRequest, object_id: int) -> HttpResponse:
        conversation = self._to_change(request, object_id, "subscribers.change_conversation")
        if isinstance(conversation, HttpResponse):
            return conversation
        return self._change(request, conversation, "reopen", is_done=False)

    def _to_change(
        self, request: HttpRequest, object_id: int, right: str
    ) -> Conversation | HttpResponse:
        """The conversation; for a GET, as after signing in again, a redirect to its page."""
        conversation = self._conversation(request, object_id)
        if not request.user.has_perm(right):
            raise PermissionDenied
        return conversation if request.method == "POST" else self._back(request, conversation)

    def _change(
        self, request: HttpRequest, conversation: Conversation, act: str, **columns: Any
    ) -> HttpResponse:
        with transaction.atomic():
            Conversation.objects.filter(pk=conversation.pk).update(**columns)
            record(act, conversation)
        return self._back(request, conversation)

    def _back(
        self, request: HttpRequest, conversation: Conversation, fragment: str = ""
    ) -> HttpResponse:
        """Goes to the conversation; the fragment `#taken` tells inbox.js to forget the draft."""
        page = reverse("admin:subscribers_conversation_change", args=[conversation.pk])
        query = urlencode({k: request.GET[k] for k in ("list", "account") if k in request.GET})
        return HttpResponseRedirect((f"{page}?{query}" if query else page) + fragment)


def _moment_in(text: str, *, latest: datetime.datetime) -> datetime.datetime:
    """The time that the page sent, but not after `latest`; `latest` if it sent no valid time."""
    try:
        return min(datetime.datetime.fromisoformat(text), latest)
    except (ValueError, TypeError):
        return latest


def _cached_briefly(response: FileResponse) -> FileResponse:
    """Lets the browser keep a file: the page redraws the conversation every few seconds."""
    response["Cache-Control"] = "private, max-age=300"
    return response


def _fragment(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Renders a part of the page, or answers 304 if the browser has the same."""
    html = render_to_string(f"{_TEMPLATES}{template}", context, request)
    etag = f'"{hashlib.blake2b(html.encode(), digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    response = HttpResponse(html, headers=headers)
    # This compares weakly: after compression the ETag comes back as a weak one.
    return get_conditional_response(request, etag=etag, response=response) or response


def _files_to_send(conversation: Conversation) -> str:
    """The field that chooses a file of the media library; "" if the library is empty."""
    files = library(conversation.account_id)
    attrs = {"id": "id_file", "required": True}
    return MediaSelect(files).render("file", "", attrs=attrs) if files else ""
