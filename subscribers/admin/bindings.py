"""The operators' pages for bindings: bindings, requests to bind, scans, and reply texts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display

from events.admin.access import AccountModelAdmin
from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.html import follower_link
from events.admin.list_filters import AccountFilter
from events.viewer import may_see_openids
from subscribers.binding.bind import start_binding, unbind
from subscribers.models import Binding, BindingRequest, BindingScan, BindingText
from subscribers.qr_codes.fetch_tickets import FAILURES
from subscribers.qr_codes.images import svg

__all__ = ["BindingAdmin", "BindingRequestAdmin", "BindingScanAdmin", "BindingTextAdmin"]


@admin.register(Binding)
class BindingAdmin(ReadOnly, KeysetModelAdmin):
    holds_personal_data = True
    list_display = ["user", "follower", "account", "state", "bound_at", "unbound_at"]
    list_filter = [AccountFilter]
    search_help_text = _("OpenID or user name; the whole value")
    actions = ["unbind"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        bindings: QuerySet[Any] = super().get_queryset(request)
        return bindings.select_related("subscriber", "user")

    def has_unbind_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.change_binding")

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        matching: QuerySet[Any] = queryset.filter(user__username=term)
        if matching.exists() or not may_see_openids():
            return matching
        return queryset.filter(subscriber__openid=term)

    @display(description=_("follower"))
    def follower(self, binding: Binding) -> str:
        return follower_link(binding.subscriber.openid)

    @display(
        description=_("status"),
        label={"bound": "success", "dormant": "info", "ended": "warning"},
    )
    def state(self, binding: Binding) -> tuple[str, str]:
        if not binding.is_active:
            return "ended", str(_("ended"))
        if binding.is_dormant:
            return "dormant", str(_("dormant"))
        return "bound", str(_("bound"))

    @action(description=_("Unbind"), permissions=["unbind"])
    def unbind(self, request: HttpRequest, queryset: QuerySet[Binding]) -> None:
        # In the order in which all code locks followers.
        bindings = sorted(
            queryset.select_related("subscriber"),
            key=lambda binding: (binding.account_id, binding.subscriber.openid),
        )
        ended = sum(unbind(binding) for binding in bindings)
        messages.success(
            request, ngettext("%s binding ended.", "%s bindings ended.", ended) % ended
        )


class BindingRequestForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = BindingRequest
        fields = ["account"]


@admin.register(BindingRequest)
class BindingRequestAdmin(KeysetModelAdmin):
    form = BindingRequestForm
    list_display = ["user", "account", "badge", "reason", "created_at", "expires_at"]
    list_filter = [AccountFilter]
    search_help_text = _("user name; the whole value")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        requests: QuerySet[Any] = super().get_queryset(request)
        return requests.select_related("user")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return ["account"]
        return [
            ("account", "user"), ("shown_state", "reason"), ("created_at", "expires_at"),
            ("completed_at", "way"), "picture",
        ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None else flatten(self.get_fields(request, obj))

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        binding_request = super().get_object(request, object_id, from_field)
        if binding_request is not None:
            # picture() gets no request, and only the user who binds may see the code.
            binding_request.shown_code = binding_request.code_for(request.user)
        return binding_request

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        matching: QuerySet[Any] = queryset.filter(user__username=term)
        return matching

    @display(
        description=_("status"),
        label={
            BindingRequest.State.WAITING.value: "info",
            BindingRequest.State.SCANNED.value: "info",
            BindingRequest.State.BOUND.value: "success",
            BindingRequest.State.EXPIRED.value: "warning",
            BindingRequest.State.REFUSED.value: "danger",
        },
    )
    def badge(self, binding_request: BindingRequest) -> tuple[str, str]:
        return binding_request.state.value, str(binding_request.state.label)

    @display(description=_("status"))
    def shown_state(self, binding_request: BindingRequest) -> str:
        return str(binding_request.state.label)

    @display(description=_("refused because"))
    def reason(self, binding_request: BindingRequest) -> str:
        return binding_request.get_refused_reason_display() or "–"

    @display(description=_("picture of the code"))
    def picture(self, binding_request: BindingRequest) -> str:
        """The code's picture for the user whom it binds; for others, the state of the picture."""
        if code := getattr(binding_request, "shown_code", ""):
            # Safe: this site draws the SVG, and it contains only paths.
            return mark_safe(svg(code))
        if binding_request.state != BindingRequest.State.WAITING:
            return "–"
        if binding_request.failure:
            return f"{FAILURES.get(binding_request.failure, '')} {binding_request.failure_text}"
        if binding_request.due_at is not None:
            return str(_("waiting for WeChat"))
        return str(_("ready"))

    def save_model(
        self, request: HttpRequest, obj: BindingRequest, form: Any, change: bool
    ) -> None:
        obj.user = request.user  # type: ignore[assignment]
        obj.pk = start_binding(account=obj.account, user=obj.user).pk
        messages.info(
            request,
            _(
                "The worker asks WeChat for the code. Its picture is on the request's page, for "
                "you alone and for ten minutes."
            ),
        )


@admin.register(BindingScan)
class BindingScanAdmin(ReadOnly, KeysetModelAdmin):
    holds_personal_data = True
    list_display = ["event_time", "follower", "account", "result", "reason", "request"]
    list_filter = [AccountFilter, "outcome", "refused_reason"]
    search_help_text = _("OpenID; the whole value")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        scans: QuerySet[Any] = super().get_queryset(request)
        return scans.select_related("subscriber", "request__user")

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        matching: QuerySet[Any] = queryset.filter(subscriber__openid=term)
        return matching if may_see_openids() else queryset.none()

    @display(description=_("follower"))
    def follower(self, scan: BindingScan) -> str:
        return follower_link(scan.subscriber.openid)

    @display(
        description=_("outcome"),
        label={
            BindingScan.Outcome.BOUND.value: "success",
            BindingScan.Outcome.ALREADY_BOUND.value: "info",
            BindingScan.Outcome.ASKED.value: "info",
            BindingScan.Outcome.SIGN_IN_ASKED.value: "info",
            BindingScan.Outcome.SIGN_IN_ALLOWED.value: "success",
            BindingScan.Outcome.REFUSED.value: "danger",
        },
    )
    def result(self, scan: BindingScan) -> tuple[str, str]:
        return scan.outcome, scan.get_outcome_display()

    @display(description=_("refused because"))
    def reason(self, scan: BindingScan) -> str:
        return scan.get_refused_reason_display() or "–"


@admin.register(BindingText)
class BindingTextAdmin(AccountModelAdmin):
    list_display = ["occasion", "language", "text", "account"]
    list_filter = [AccountFilter]
    fields = ["account", ("occasion", "language"), "text"]
