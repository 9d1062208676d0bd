"""The operators' pages for messages to followers."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.timesince import timeuntil
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
)

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.filters import AccountFilter
from events.admin.html import confirmation, follower_link, menu_name, moment, verbatim
from events.models import with_account
from events.wechat.api.custom_messages import (
    LONGEST_TEXT,
    Choice,
    ChoiceMessage,
    CustomMessage,
    ImageMessage,
    NewsMessage,
    TextMessage,
)
from events.wechat.replies import Article
from subscribers.messages import send
from subscribers.messages.conversation import KINDS, conversation_with, summary
from subscribers.messages.send import NotDeliverable, refusal_of, send_message
from subscribers.messages.window import ACTS, Window, window_of
from subscribers.models import OutgoingMessage, Subscriber
from subscribers.models.outgoing_message import FAILURES, OutgoingMessageQuerySet, State

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["MESSAGE_COLOURS", "OutgoingMessageAdmin", "WithConversation"]

MESSAGE_COLOURS = {
    State.QUEUED.value: "info",
    State.SENDING.value: "info",
    State.SENT.value: "success",
    State.FAILED.value: "danger",
    State.UNKNOWN.value: "warning",
}
_SHOWN_OF_A_MESSAGE = 60
_MOST_CHOICES = 10


# --- The list ----------------------------------------------------------------------------------


class StateFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return State.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if not self.value():
            return queryset
        chosen = queryset.filter(state=self.value())
        # By the partial index, whose condition SQLite wants to have said.
        return chosen if self.value() == State.SENT else chosen.exclude(state=State.SENT)


class FailureFilter(admin.SimpleListFilter):
    title = _("reason")
    parameter_name = "failure"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return list(FAILURES.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.failed().filter(failure=self.value()) if self.value() else queryset


@admin.register(OutgoingMessage)
class OutgoingMessageAdmin(ReadOnly, KeysetModelAdmin):
    list_display = ["created", "follower", "kind_label", "start", "badge", "why", "account"]
    list_display_links = ["created"]
    list_filter = [AccountFilter, StateFilter, FailureFilter]
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
        rows = super().get_queryset(request).select_related("subscriber", "created_by")
        return with_account(rows)

    def has_retry_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether the user may try messages again; of a given one, also whether that is open."""
        if not request.user.has_perm("subscribers.change_outgoingmessage"):
            return False
        message = None if object_id is None else self.get_object(request, object_id)
        return message is None or message.state in {State.FAILED, State.UNKNOWN}

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        followers = Subscriber.objects.filter(openid=term)
        if followers.exists():
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
        text = summary(message)
        shown = text if len(text) <= _SHOWN_OF_A_MESSAGE else text[:_SHOWN_OF_A_MESSAGE] + "…"
        return format_html('<span class="key">{}</span>', shown)

    @display(description=_("content"))
    def whole(self, message: OutgoingMessage) -> str:
        return verbatim(summary(message))

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
        return format_html(
            '<a class="openid" href="{}">#{}</a>',
            reverse("admin:events_eventlog_change", args=[message.event_id]),
            message.event_id,
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
            if message.state == State.UNKNOWN:
                sentences.append(
                    _("It may have arrived already: then the follower gets it a second time.")
                )
            return confirmation(request, self, title=_("Try again"), sentences=sentences, back=back)
        if send.send_again(message, timezone.now()):
            self.log_change(request, message, "queued again")
            _say_queued(request, 1)
        else:
            window = window_of(message.subscriber)
            reason = refusal_of(message.subscriber, window)
            messages.error(request, reason.label if reason else _("Nothing was to be done."))
        return HttpResponseRedirect(back)


def _say_queued(request: HttpRequest, number: int) -> None:
    if number:
        messages.success(
            request, ngettext("%s message queued.", "%s messages queued.", number) % number
        )


# --- The follower's page -----------------------------------------------------------------------


class MessageForm(forms.Form):
    """A message as an operator writes it; once it is valid, `message` has it."""

    kind = forms.ChoiceField(
        label=capfirst(_("kind")),
        choices=[(kind, KINDS[kind]) for kind in ("text", "image", "news", "msgmenu")],
        initial="text",
        widget=UnfoldAdminRadioSelectWidget(radio_style=admin.HORIZONTAL),
    )
    content = forms.CharField(
        label=capfirst(_("text")),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("It may hold links, written as in HTML: &lt;a href=…&gt;"),
    )
    media_id = forms.CharField(
        label="media_id",
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Of an image in the account's material library (素材)."),
    )
    title = forms.CharField(
        label=capfirst(_("title")), required=False, widget=UnfoldAdminTextInputWidget()
    )
    description = forms.CharField(
        label=capfirst(_("description")),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    url = forms.URLField(
        label=capfirst(_("link")),
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget(),
    )
    pic_url = forms.URLField(
        label=capfirst(_("address of the picture")),
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget(),
    )
    head = forms.CharField(
        label=capfirst(_("question")),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    choices = forms.CharField(
        label=capfirst(_("answers")),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("One on each line. A tap comes back as a text message with its number."),
    )
    tail = forms.CharField(
        label=capfirst(_("closing words")), required=False, widget=UnfoldAdminTextInputWidget()
    )

    parts = {
        "text": ("content",),
        "image": ("media_id",),
        "news": ("title", "description", "url", "pic_url"),
        "msgmenu": ("head", "choices", "tail"),
    }
    _REQUIRED = {
        "text": ("content",),
        "image": ("media_id",),
        "news": ("title", "url"),
        "msgmenu": ("head", "choices"),
    }

    message: CustomMessage

    def fieldsets(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields of each kind, for the template."""
        return [(kind, [self[name] for name in names]) for kind, names in self.parts.items()]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        kind = cleaned.get("kind", "")
        for name in self.parts.get(kind, ()):
            # A browser ends lines with two characters, which WeChat counts.
            text = cleaned[name] = cleaned.get(name, "").replace("\r\n", "\n")
            if name in self._REQUIRED[kind] and not text and name not in self.errors:
                self.add_error(name, self.fields[name].error_messages["required"])
            elif len(text.encode()) > LONGEST_TEXT:
                self.add_error(
                    name, _("WeChat takes at most 2048 bytes: about 680 Chinese characters.")
                )
        others = {name for names in self.parts.values() for name in names}
        for name in others - set(self.parts.get(kind, ())):
            # What was begun under another kind is not looked at.
            self.errors.pop(name, None)
        choices = [line.strip() for line in cleaned.get("choices", "").splitlines() if line.strip()]
        if kind == "msgmenu" and len(choices) > _MOST_CHOICES:
            self.add_error("choices", _("Ten answers at the most."))
        if not self.errors:
            self.message = _message(kind, cleaned, choices)
        return cleaned


def _message(kind: str, fields: dict[str, Any], choices: list[str]) -> CustomMessage:
    match kind:
        case "image":
            return ImageMessage(fields["media_id"])
        case "news":
            return NewsMessage(
                Article(fields["title"], fields["description"], fields["pic_url"], fields["url"])
            )
        case "msgmenu":
            numbered = tuple(
                Choice(str(number), content) for number, content in enumerate(choices, start=1)
            )
            return ChoiceMessage(fields["head"], numbered, fields["tail"])
        case _:
            return TextMessage(fields["content"])


class WithConversation:
    """The part of a follower's page that shows the conversation and takes a message."""

    change_form_outer_after_template = "subscribers/admin/conversation.html"

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
        """Takes a message; what is wrong with it is said beside it, and nothing typed is lost."""
        subscriber = self.get_object(request, str(object_id))  # type: ignore[attr-defined]
        may_see = self.has_view_permission(request, subscriber)  # type: ignore[attr-defined]
        if subscriber is None or not (may_see and _may_write(request)):
            raise Http404
        form = MessageForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                send_message(subscriber, form.message, by=request.user)  # type: ignore[arg-type]
            except NotDeliverable as refused:
                form.add_error(None, str(refused))
            else:
                self.log_change(request, subscriber, "message queued")  # type: ignore[attr-defined]
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
        return TemplateResponse(request, "subscribers/admin/write.html", context)

    def _conversation(self, request: HttpRequest, subscriber: Subscriber) -> dict[str, Any]:
        if not (
            request.user.has_perm("subscribers.view_outgoingmessage")
            and request.user.has_perm("events.view_eventlog")
        ):
            return {}
        now = timezone.now()
        window = window_of(subscriber, now)
        refusal = refusal_of(subscriber, window)
        return {
            "conversation": [
                {
                    "said_by": said.said_by,
                    "at": moment(said.at, subscriber.account),
                    "text": said.text,
                    "act": said.act,
                    "menu_name": menu_name(said.menu_name),
                    "url": said.url,
                    "message": said.message,
                    "colour": MESSAGE_COLOURS[State(said.message.state)] if said.message else "",
                }
                for said in conversation_with(subscriber)
            ],
            "window": _shown(window, now) if window else None,
            "refusal": refusal.label if refusal else "",
            "message_form": MessageForm() if _may_write(request) else None,
            "subscriber": subscriber,
        }


def _may_write(request: HttpRequest) -> bool:
    return request.user.has_perm("subscribers.add_outgoingmessage")


def _shown(window: Window, now: datetime.datetime) -> dict[str, Any]:
    seconds = int((window.until - now).total_seconds())
    left = (
        ngettext("%s second", "%s seconds", seconds) % seconds
        if seconds < 120
        else timeuntil(window.until, now)
    )
    return {
        "act": ACTS[window.act],
        "left": left,
        "remaining": window.remaining,
        "allowed": window.allowed,
    }
