"""The operators' pages of webhooks: make them, test them, change the secret, send again."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from events.admin.access import AccountModelAdmin
from events.admin.html import confirmation, new_secret
from events.admin.list_filters import AccountFilter
from events.audit.record import record
from subscribers.models import WebhookEndpoint
from subscribers.webhooks.endpoint_standing import hold
from subscribers.webhooks.endpoints import (
    activate,
    make_endpoint,
    rotate_secret,
    validate_types,
    validate_url,
)
from subscribers.webhooks.event_types import TYPES
from subscribers.webhooks.replay import chosen, send_again, send_test

__all__ = ["WebhookEndpointAdmin"]


def _types_in_words() -> list[tuple[str, str]]:
    # A function, because every form must have the texts in the language of its page.
    return [(name, f"{name}: {title}") for name, title in TYPES.items()]


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]
    chosen_types = forms.MultipleChoiceField(
        label=_("types of events"),
        required=False,
        choices=_types_in_words,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    more_types = forms.CharField(
        label=_("single events"),
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("For example event.click event.view, with spaces between them."),
    )

    class Meta:
        model = WebhookEndpoint
        fields = ["account", "url", "is_active"]
        labels = {"url": _("address that is told (URL)")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _begin_with_capitals(self)
        types = self.instance.types or []
        self.initial.setdefault("chosen_types", [name for name in types if name in TYPES])
        self.initial.setdefault("more_types", " ".join(n for n in types if n not in TYPES))

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        validate_url(url)
        return url

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        types = [*cleaned.get("chosen_types", ()), *cleaned.get("more_types", "").split()]
        try:
            validate_types(types)
        except forms.ValidationError as error:
            self.add_error("chosen_types", error)
        cleaned["types"] = sorted(set(types))
        return cleaned


def _begin_with_capitals(form: forms.BaseForm) -> None:
    for field in form.fields.values():
        field.label = capfirst(field.label)


class SendAgainForm(forms.Form):
    begin = forms.SplitDateTimeField(
        label=_("from"), required=False, widget=UnfoldAdminSplitDateTimeWidget
    )
    end = forms.SplitDateTimeField(
        label=_("until"), required=False, widget=UnfoldAdminSplitDateTimeWidget
    )
    with_successes = forms.BooleanField(
        label=_("what arrived too"), required=False, widget=UnfoldBooleanSwitchWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _begin_with_capitals(self)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("with_successes") and not cleaned.get("begin"):
            self.add_error("begin", _("Say from when on, to send what arrived again."))
        return cleaned


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(AccountModelAdmin):
    """Addresses to which this site sends events. A new secret is shown once."""

    form = WebhookForm
    list_display = ["__str__", "account", "shown_types", "standing", "failing_since", "created_at"]
    list_filter = [AccountFilter]
    actions_detail = ["deliveries", "send_a_test", "send_again", "rotate_secret", "activate"]
    readonly_fields = ["shown_standing", "failures", "failing_since", "paused_at", "created_at"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("secret", "previous_secret")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return ["account", "url", "chosen_types", "more_types"]
        types = ["chosen_types", "more_types"]
        if not self.has_change_permission(request, obj):
            types = ["shown_types"]
        return [
            "account", "url", *types, "is_active", ("shown_standing", "failures"),
            ("failing_since", "paused_at"), "created_at",
        ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        own = [] if obj is None else ["account"]
        return [*super().get_readonly_fields(request, obj), "shown_types", *own]

    @display(description=_("types of events"))
    def shown_types(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.types)

    @display(
        description=_("status"),
        label={"works": "success", "fails": "warning", "paused": "danger", "off": "danger"},
    )
    def standing(self, endpoint: WebhookEndpoint) -> tuple[str, str]:
        if not endpoint.is_active:
            return "off", str(endpoint.get_stopped_because_display() or _("turned off"))
        if endpoint.paused_at is not None:
            return "paused", str(_("paused: it takes nothing"))
        return ("fails", str(_("fails"))) if endpoint.failures else ("works", str(_("works")))

    @display(description=_("status"))
    def shown_standing(self, endpoint: WebhookEndpoint) -> str:
        return self.standing(endpoint)[1]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        types = form.cleaned_data["types"]
        if not change:
            made = make_endpoint(obj.account, obj.url, types)
            obj.pk, obj.secret, obj.types = made.pk, made.secret, made.types
            messages.warning(request, new_secret(made.secret))
            return
        obj.types = types
        # Saves only what was changed: the worker may turn the webhook off meanwhile.
        types_fields = {"chosen_types", "more_types"}
        obj.save(update_fields={"types" if n in types_fields else n for n in form.changed_data})
        if not obj.is_active:
            hold(obj)
        elif "is_active" in form.changed_data:
            activate(obj)

    @action(description=_("Deliveries"), permissions=["view"])
    def deliveries(self, request: HttpRequest, object_id: str) -> HttpResponse:
        page = reverse("admin:subscribers_webhookdelivery_changelist")
        return HttpResponseRedirect(f"{page}?{urlencode({'webhook': object_id})}")

    @action(description=_("Send a test"), permissions=["change"])
    def send_a_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        sentence = _("A message of the type webhook.test goes to %s.")
        return self._confirmed(request, object_id, _("Send a test"), sentence, self._test)

    @action(description=_("Change the secret"), permissions=["change"])
    def rotate_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        sentence = _("%s gets a new secret. For 24 hours the former one signs too.")
        return self._confirmed(request, object_id, _("Change the secret"), sentence, self._rotate)

    @action(description=_("Turn on again"), permissions=["change"])
    def activate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        sentence = _("%s is told again at once, first what was held.")
        return self._confirmed(request, object_id, _("Turn on again"), sentence, self._activate)

    @action(description=_("Send again"), permissions=["change"])
    def send_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.get_object(request, object_id)
        page = self._page(object_id)
        if endpoint is None:
            return page
        form = SendAgainForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            given = form.cleaned_data
            rows = chosen(
                endpoint,
                begin=given["begin"],
                end=given["end"],
                with_successes=given["with_successes"],
            )
            record("send_again", endpoint, name=str(endpoint))
            number = send_again(rows, timezone.now())
            messages.success(
                request,
                ngettext("%s delivery is sent again.", "%s deliveries are sent again.", number)
                % number,
            )
            return page
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Send again"),
            "form": form,
            "back": page.url,
        }
        return TemplateResponse(
            request, "admin/subscribers/webhookendpoint/send_again.html", context
        )

    def _test(self, request: HttpRequest, endpoint: WebhookEndpoint) -> None:
        record("send_test", endpoint, name=str(endpoint))
        send_test(endpoint)
        messages.success(request, _("The worker sends it. Look at the deliveries."))

    def _rotate(self, request: HttpRequest, endpoint: WebhookEndpoint) -> None:
        messages.warning(request, new_secret(rotate_secret(endpoint)))

    def _activate(self, request: HttpRequest, endpoint: WebhookEndpoint) -> None:
        activate(endpoint)
        messages.success(request, _("It is told again."))

    def _confirmed(
        self, request: HttpRequest, object_id: str, title: Any, sentence: Any, act: Any
    ) -> HttpResponse:
        """Asks to confirm, then acts; only for a webhook that the user may see."""
        endpoint = self.get_object(request, object_id)
        page = self._page(object_id)
        if endpoint is None:
            return page
        if request.method != "POST":
            return confirmation(
                request, self, title=title, sentences=[sentence % endpoint], back=page.url
            )
        act(request, endpoint)
        return page

    def _page(self, object_id: str) -> HttpResponseRedirect:
        page = reverse("admin:subscribers_webhookendpoint_change", args=[object_id])
        return HttpResponseRedirect(page)
