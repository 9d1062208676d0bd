"""The operators' list of messages to followers, and a message's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.hindered import NeedsRight
from events.admin.html import confirmation, follower_link, moment, verbatim
from events.admin.list_filters import AccountFilter
from events.viewer import HIDDEN, may_see_contents, may_see_openids
from events.wechat.api.custom_messages import SEND_PATH
from subscribers.messages import send
from subscribers.messages.conversation import KINDS, files_sent, summary
from subscribers.messages.send import refusal_of
from subscribers.messages.window import window_of
from subscribers.models import OutgoingMessage, Subscriber
from subscribers.models.outgoing_message import FAILURES, MessageState, OutgoingMessageQuerySet

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["MESSAGE_COLOURS", "OutgoingMessageAdmin"]

MESSAGE_COLOURS = {
    MessageState.QUEUED.value: "info",
    MessageState.SENDING.value: "info",
    MessageState.SENT.value: "success",
    MessageState.FAILED.value: "danger",
    MessageState.UNKNOWN.value: "warning",
}
_SHOWN_OF_A_MESSAGE = 60


class MessageStateFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return MessageState.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.in_states(self.value()) if self.value() else queryset


class FailureFilter(admin.SimpleListFilter):
    title = _("reason")
    parameter_name = "failure"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return list(FAILURES.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.failed().filter(failure=self.value()) if self.value() else queryset


@admin.register(OutgoingMessage)
class OutgoingMessageAdmin(NeedsRight, ReadOnly, KeysetModelAdmin):
    needs_right = SEND_PATH
    acts_of_right = ("try_again",)
    holds_personal_data = True
    list_display = ["created", "follower", "kind_label", "start", "badge", "why", "account"]
    list_display_links = ["created"]
    list_filter = [AccountFilter, MessageStateFilter, FailureFilter]
    search_help_text = _("OpenID or number of the message; the whole value")
    actions = ["try_again"]
    actions_detail = ["try_this_again"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("follower", "account"), ("kind_label", "state_label"), "whole",
                    ("written_by", "answers"),
                ]
            },
        ),
        (
            _("Sending"),
            {
                "fields": [
                    ("created", "until"), ("sent", "next_attempt"), ("why",),
                    "detail",
                ]
            },
        ),
    ]  # fmt: skip
    readonly_fields = [
        "follower", "account", "kind_label", "state_label", "whole", "written_by", "answers",
        "created", "until", "sent", "next_attempt", "why", "detail",
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("subscriber", "created_by")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        files = files_sent(changelist.result_list)
        for message in changelist.result_list:
            message.files = files
        return changelist

    def has_retry_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether the user may try messages again; for a given one, also whether it failed."""
        if not request.user.has_perm("subscribers.change_outgoingmessage"):
            return False
        if object_id is None:
            return True
        message = self.get_object(request, object_id)
        return message is not None and message.state in {MessageState.FAILED, MessageState.UNKNOWN}

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        followers = Subscriber.objects.filter(openid=term)
        if may_see_openids() and followers.exists():
            return queryset.filter(subscriber__in=followers)
        return super().search_exactly(queryset, term)

    @display(description=_("created"))
    def created(self, message: OutgoingMessage) -> str:
        return moment(message.created_at, message.account)

    @display(description=_("deliverable until"))
    def until(self, message: OutgoingMessage) -> str:
        return moment(message.window_until, message.account)

    @display(description=_("sent"))
    def sent(self, message: OutgoingMessage) -> str:
        return moment(message.sent_at, message.account)

    @display(description=_("next attempt"))
    def next_attempt(self, message: OutgoingMessage) -> str:
        return moment(message.due_at, message.account)

    @display(description=_("follower"))
    def follower(self, message: OutgoingMessage) -> str:
        return follower_link(message.subscriber.openid)

    @display(description=_("kind"))
    def kind_label(self, message: OutgoingMessage) -> str:
        return str(KINDS.get(message.kind, message.kind))

    @display(description=_("content"))
    def start(self, message: OutgoingMessage) -> str:
        text = _shown_summary(message)
        shown = text if len(text) <= _SHOWN_OF_A_MESSAGE else text[:_SHOWN_OF_A_MESSAGE] + "…"
        return render_to_string("admin/subscribers/outgoingmessage/start.html", {"text": shown})

    @display(description=_("content"))
    def whole(self, message: OutgoingMessage) -> str:
        return verbatim(_shown_summary(message))

    @display(description=_("status"), label=MESSAGE_COLOURS)
    def badge(self, message: OutgoingMessage) -> tuple[str, str]:
        return message.state, message.get_state_display()

    @display(description=_("status"))
    def state_label(self, message: OutgoingMessage) -> str:
        return message.get_state_display()

    @display(description=_("reason"))
    def why(self, message: OutgoingMessage) -> str:
        return message.reason or "–"

    @display(description=_("detail"))
    def detail(self, message: OutgoingMessage) -> str:
        return message.failure_text or "–"

    @display(description=_("written by"))
    def written_by(self, message: OutgoingMessage) -> str:
        return message.created_by.get_username() if message.created_by else "–"

    @display(description=_("answers the event"))
    def answers(self, message: OutgoingMessage) -> str:
        if message.event_id is None:
            return "–"
        return render_to_string(
            "admin/subscribers/outgoingmessage/answers.html", {"event_id": message.event_id}
        )

    @action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: OutgoingMessageQuerySet) -> None:
        chosen = list(queryset.values_list("pk", flat=True))
        queued = send.try_again(OutgoingMessage.objects.filter(pk__in=chosen), timezone.now())
        _say_queued(request, queued)
        if queued < len(chosen):
            messages.info(
                request,
                _(
                    "Only failed messages to followers with an open window can be tried again; "
                    "those that may have arrived, one by one."
                ),
            )

    @action(description=_("Try again"), permissions=["retry"])
    def try_this_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        back = reverse("admin:subscribers_outgoingmessage_change", args=[object_id])
        message = self.get_object(request, object_id)
        if message is None:
            raise Http404
        if request.method != "POST":
            sentences: list[StrOrPromise] = [
                _("The message is queued again, if the follower still has an open window.")
            ]
            if message.state == MessageState.UNKNOWN:
                sentences.append(
                    _("It may have arrived already: then the follower gets it a second time.")
                )
            return confirmation(request, self, title=_("Try again"), sentences=sentences, back=back)
        with transaction.atomic():
            queued = send.send_again(message, timezone.now())
            if queued:
                self.log_change(request, message, "try_again")
        if queued:
            _say_queued(request, 1)
        else:
            window = window_of(message.subscriber)
            reason = refusal_of(message.subscriber, window)
            messages.error(request, reason.label if reason else _("Nothing had to be done."))
        return HttpResponseRedirect(back)


def _shown_summary(message: OutgoingMessage) -> str:
    # The list has read the files of all its messages at once.
    files = getattr(message, "files", None)
    return summary(message, files) if may_see_contents() else HIDDEN


def _say_queued(request: HttpRequest, number: int) -> None:
    if number:
        messages.success(
            request, ngettext("%s message queued.", "%s messages queued.", number) % number
        )
