"""The operators' pages of alerts: the alerts, their channels, and each message."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget

from events.admin.access import AccountModelAdmin, OfAllAccounts
from events.admin.base import ModelAdmin
from events.admin.changelist import ReadOnly
from events.admin.html import confirmation
from events.admin.list_filters import AccountFilter
from events.alerts.rules import RULES, words_of
from events.alerts.send import FAILURES, NotSent, is_address, send_test
from events.audit.record import record
from events.models import Alert, AlertChannel, AlertMessage

__all__ = ["AlertAdmin", "AlertChannelAdmin", "AlertMessageAdmin"]


class AlertChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of a channel. It never shows the address, which holds passwords."""

    new_url = forms.CharField(
        label=capfirst(_("address (apprise)")),
        required=False,
        max_length=2000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_(
            "For example wecombot://KEY (企业微信), dingtalk://TOKEN (钉钉), "
            "feishu://TOKEN (飞书), slack://…, mailtos://USER:PASSWORD@example.com "
            "or jsons://example.com/hook. Leave empty to keep what is set."
        ),
    )

    class Meta:
        model = AlertChannel
        fields = ["name", "language", "quiet_from", "quiet_to", "urgent_always", "is_active"]

    def clean_new_url(self) -> str:
        url: str = self.cleaned_data["new_url"].strip()
        if url and not is_address(url):
            raise ValidationError(_("apprise knows no such address."))
        if not url and not self.instance.url:
            raise ValidationError(_("A channel needs an address."))
        return url

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("new_url"):
            self.instance.url = cleaned["new_url"]
        if (cleaned.get("quiet_from") is None) != (cleaned.get("quiet_to") is None):
            raise ValidationError(_("Quiet hours need a beginning and an end."))
        return cleaned


@admin.register(AlertChannel)
class AlertChannelAdmin(OfAllAccounts, ModelAdmin):
    form = AlertChannelForm
    list_display = ["name", "service", "language", "quiet_from", "quiet_to", "is_active"]
    readonly_fields = ["service"]
    fields = [
        "name", "new_url", "service", "language", ("quiet_from", "quiet_to"), "urgent_always",
        "is_active",
    ]  # fmt: skip
    actions_detail = ["send_a_test"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if self.has_change_permission(request, obj):
            return self.fields
        return [name for name in self.fields if name != "new_url"]

    @display(description=_("service"))
    def service(self, channel: AlertChannel) -> str:
        """The scheme of the address, which is no secret."""
        return channel.url.partition(":")[0] or "–"

    @action(description=_("Send a test"), permissions=["change"])
    def send_a_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        channel = self.get_object(request, object_id)
        page = HttpResponseRedirect(reverse("admin:events_alertchannel_change", args=[object_id]))
        if channel is None:
            return page
        if request.method != "POST":
            return confirmation(
                request,
                self,
                title=_("Send a test"),
                sentences=[_("A message goes to %s now, quiet hours or not.") % channel],
                back=page.url,
            )
        record("test_channel", channel, name=channel.name)
        try:
            send_test(channel)
        except NotSent:
            messages.error(request, _("The channel did not take it. Is the address right?"))
        else:
            messages.success(request, _("Sent. Has it arrived?"))
        return page


@admin.register(Alert)
class AlertAdmin(ReadOnly, AccountModelAdmin):
    list_display = ["state", "whose", "title", "words", "began_at", "ended_at"]
    list_display_links = None
    fields = ["shown_state", "whose", "title", "words", "began_at", "last_seen_at", "ended_at"]
    list_filter = [AccountFilter, "level"]
    ordering = ["-began_at"]
    show_full_result_count = False

    @display(
        description=_("status"), label={"down": "danger", "late": "warning", "over": "success"}
    )
    def state(self, alert: Alert) -> tuple[str, str]:
        if alert.ended_at is not None:
            return "over", str(_("over"))
        return alert.level, alert.get_level_display()

    @display(description=_("status"))
    def shown_state(self, alert: Alert) -> str:
        return self.state(alert)[1]

    @display(description=_("Official Account"))
    def whose(self, alert: Alert) -> str:
        return alert.account.name if alert.account else str(_("the site"))

    @display(description=_("rule"))
    def title(self, alert: Alert) -> str:
        rule = RULES.get(alert.rule)
        return capfirst(str(rule.title)) if rule else alert.rule

    @display(description=_("what"))
    def words(self, alert: Alert) -> str:
        return words_of(alert)


@admin.register(AlertMessage)
class AlertMessageAdmin(OfAllAccounts, ReadOnly, ModelAdmin):
    list_display = ["alert_words", "about", "channel", "sent_at", "reason", "failed_at"]
    list_display_links = None
    fields = list_display
    list_filter = ["about"]
    ordering = ["-pk"]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super().get_queryset(request).select_related("alert", "channel").defer("channel__url")
        )

    @display(description=_("alert"))
    def alert_words(self, message: AlertMessage) -> str:
        return words_of(message.alert)

    @display(description=_("reason"))
    def reason(self, message: AlertMessage) -> str:
        return str(FAILURES.get(message.failure, message.failure)) or "–"
