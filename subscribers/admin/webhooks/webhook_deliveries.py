"""The operators' pages of deliveries to webhooks, each with its payload and its attempts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.html import moment, verbatim
from events.admin.list_filters import AccountFilter
from events.numbers import number_in
from events.viewer import HIDDEN, may_see_contents, may_see_openids, visible_to
from subscribers.models import WebhookDelivery, WebhookEndpoint
from subscribers.webhooks.replay import send_again
from subscribers.webhooks.send_deliveries import FAILURES

__all__ = ["WebhookDeliveryAdmin"]

_COLOURS = {"waiting": "info", "held": "warning", "sent": "success", "failed": "danger"}


class WebhookFilter(admin.SimpleListFilter):
    title = _("webhook")
    parameter_name = "webhook"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        endpoints = WebhookEndpoint.objects.defer("secret", "previous_secret")
        return [(row.pk, str(row)) for row in visible_to(request.user, endpoints)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value() or ""
        if not value:
            return queryset
        endpoint = number_in(value)
        return queryset.none() if endpoint is None else queryset.filter(endpoint=endpoint)


class FailureFilter(admin.SimpleListFilter):
    title = _("reason")
    parameter_name = "failure"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return list(FAILURES.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.failed().filter(failure=self.value()) if self.value() else queryset


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly, KeysetModelAdmin):
    holds_personal_data = True
    list_display = ["created", "type", "webhook", "badge", "reason", "sent", "account"]
    list_display_links = ["created"]
    list_filter = [AccountFilter, WebhookFilter, "state", FailureFilter]
    search_help_text = _("number of the delivery")
    actions = ["send_again"]
    fields = [
        "account", "webhook", "type", "shown_message_id", "shown_state", "reason", "created",
        "next_attempt", "sent", "payload", "attempts_made",
    ]  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("endpoint", "message")
        return rows.defer("endpoint__secret", "endpoint__previous_secret")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.change_webhookendpoint")

    @action(description=_("Send again"), permissions=["replay"])
    def send_again(self, request: HttpRequest, queryset: Any) -> None:
        number = send_again(queryset, timezone.now())
        sentence = ngettext("%s delivery is sent again.", "%s deliveries are sent again.", number)
        messages.success(request, sentence % number)

    @display(description=_("created"))
    def created(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.created_at, delivery.account)

    @display(description=_("type of event"))
    def type(self, delivery: WebhookDelivery) -> str:
        return delivery.message.type

    @display(description=_("webhook"))
    def webhook(self, delivery: WebhookDelivery) -> str:
        return str(delivery.endpoint)

    @display(description=_("number of the message (webhook-id)"))
    def shown_message_id(self, delivery: WebhookDelivery) -> str:
        return delivery.message.message_id

    @display(description=_("status"), label=_COLOURS)
    def badge(self, delivery: WebhookDelivery) -> tuple[str, str]:
        return delivery.state, delivery.get_state_display()

    @display(description=_("status"))
    def shown_state(self, delivery: WebhookDelivery) -> str:
        return delivery.get_state_display()

    @display(description=_("reason"))
    def reason(self, delivery: WebhookDelivery) -> str:
        return str(FAILURES.get(delivery.failure, delivery.failure)) or "–"

    @display(description=_("next attempt"))
    def next_attempt(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.due_at, delivery.account)

    @display(description=_("delivered at"))
    def sent(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.sent_at, delivery.account)

    @display(description=_("payload"))
    def payload(self, delivery: WebhookDelivery) -> str:
        may_see = may_see_contents() and may_see_openids()
        return verbatim(delivery.message.body if may_see else HIDDEN)

    @display(description=_("each attempt"))
    def attempts_made(self, delivery: WebhookDelivery) -> str:
        made = {"attempts": delivery.tries.order_by("-pk")[:50], "may_see": may_see_contents()}
        return render_to_string("admin/subscribers/webhookdelivery/attempts.html", made)
