from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Exists, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from events.admin import AccountFilter, follower_link
from events.keyset import KeysetModelAdmin, ReadOnly
from events.kinds import label
from events.models import EventLog
from subscribers.binding import start_binding, unbind
from subscribers.models import Binding, BindingRequest, BindingScan, QRScene, Subscriber

_LATEST_EVENTS = 20


class FollowingFilter(admin.SimpleListFilter):
    title = _("following")
    parameter_name = "following"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [("yes", _("following")), ("no", _("not following"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in {"yes", "no"}:
            return queryset
        return queryset.filter(is_following=self.value() == "yes")


class BoundFilter(admin.SimpleListFilter):
    title = _("binding")
    parameter_name = "bound"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [("yes", _("bound to a user")), ("no", _("not bound"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        bound = Exists(Binding.objects.active().filter(subscriber=OuterRef("pk")))
        match self.value():
            case "yes":
                return queryset.filter(bound)
            case "no":
                return queryset.filter(~bound)
            case _:
                return queryset


@admin.register(Subscriber)
class SubscriberAdmin(ReadOnly, KeysetModelAdmin):
    list_display = [
        "openid", "account", "following", "last_followed_at", "last_seen_at", "first_scene",
        "bound_user", "event_count",
    ]  # fmt: skip
    list_filter = [AccountFilter, FollowingFilter, BoundFilter]
    list_select_related = ["account"]
    search_help_text = _("OpenID, QR scene or bound user name; the whole value")
    fieldsets = [
        (None, {"fields": [("openid", "account"), ("following", "bound_user")]}),
        (
            _("Follows"),
            {
                "fields": [
                    ("first_followed_at", "last_followed_at"),
                    ("last_unfollowed_at", "last_seen_at"),
                    ("follow_count", "unfollow_count", "event_count"),
                    ("first_scene", "last_scene"),
                ]
            },
        ),
        (_("Profile"), {"fields": [("unionid", "language"), ("remark", "profile_synced_at")]}),
        (_("Bindings"), {"fields": ["bindings"]}),
        (_("Latest events"), {"fields": ["latest_events"]}),
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        own = ["following", "bound_user", "bindings", "latest_events"]
        return own + [field.name for field in self.opts.fields]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscriber]:
        return super().get_queryset(request).with_bound_user()

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        for matching in (
            queryset.filter(openid=term),
            queryset.filter(first_scene=term).exclude(first_scene=""),
            queryset.filter(
                pk__in=Binding.objects.active().filter(user__username=term).values("subscriber")
            ),
        ):
            if matching.order_by().exists():
                return matching
        return super().search_exactly(queryset, term)

    @display(
        description=_("status"), label={_("following"): "success", _("not following"): "warning"}
    )
    def following(self, subscriber: Subscriber) -> str:
        return str(_("following") if subscriber.is_following else _("not following"))

    @display(description=_("bound user"))
    def bound_user(self, subscriber: Any) -> str:
        return subscriber.bound_username or "–"

    @display(description=_("bindings"))
    def bindings(self, subscriber: Subscriber) -> str:
        rows = subscriber.bindings.select_related("user").order_by("-bound_at")
        return (
            format_html_join(
                format_html("<br>"),
                "{}: {:%Y-%m-%d %H:%M} – {}",
                (
                    (
                        binding.user.get_username(),
                        binding.bound_at.astimezone(subscriber.account.zone),
                        f"{binding.unbound_at.astimezone(subscriber.account.zone):%Y-%m-%d %H:%M}"
                        if binding.unbound_at
                        else "",
                    )
                    for binding in rows
                ),
            )
            or "–"
        )

    @display(description=_("events"))
    def latest_events(self, subscriber: Subscriber) -> str:
        events = (
            EventLog.objects.with_openid(subscriber.openid)
            .filter(account=subscriber.account_id)
            .select_related("account")
            .newest_first()[:_LATEST_EVENTS]
        )
        rows = format_html_join(
            "",
            '<tr><td style="padding:.2rem 1rem .2rem 0;white-space:nowrap"><a href="{}">{:%Y-%m-%d '
            '%H:%M:%S}</a></td><td style="padding-right:1rem">{}</td>'
            '<td style="overflow-wrap:anywhere">{}</td></tr>',
            (
                (
                    reverse("admin:events_eventlog_change", args=[event.pk]),
                    event.event_time.astimezone(event.account.zone),
                    label(event.kind),
                    event.masked(event.scene or event.event_key),
                )
                for event in events
            ),
        )
        everything = reverse("admin:events_eventlog_changelist")
        return format_html(
            '<table>{}</table><p><a href="{}?{}">{}</a></p>',
            rows,
            everything,
            urlencode({"q": subscriber.openid}),
            _("All events of this follower"),
        )


@admin.register(QRScene)
class QRSceneAdmin(ModelAdmin):
    list_display = ["name", "scene", "account", "validity", "came_first", "still_following"]
    list_filter = ["account", "is_permanent"]
    list_select_related = ["account"]
    search_fields = ["name", "scene"]
    fields = ["account", "name", "scene", "is_permanent", "expires_at", "note"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # The printed code carries the scene: another one would be another code.
        return ["account", "scene"] if obj else []

    def get_queryset(self, request: HttpRequest) -> QuerySet[QRScene]:
        followers = (
            Subscriber.objects.filter(account=OuterRef("account"), first_scene=OuterRef("scene"))
            .exclude(first_scene="")
            .order_by()
            .values("first_scene")
        )

        def counted(rows: Any) -> Any:
            return Coalesce(
                Subquery(
                    rows.annotate(number=Count("pk")).values("number"),
                    output_field=IntegerField(),
                ),
                0,
            )

        return (
            super()
            .get_queryset(request)
            .annotate(
                first_count=counted(followers),
                following_count=counted(followers.filter(is_following=True)),
            )
        )

    @display(description=_("validity"))
    def validity(self, scene: QRScene) -> str:
        if scene.expires_at is None:
            return str(_("permanent"))
        return str(_("expired")) if scene.is_expired else f"{scene.expires_at:%Y-%m-%d %H:%M}"

    @display(description=_("came through it first"), ordering="first_count")
    def came_first(self, scene: Any) -> int:
        return scene.first_count

    @display(description=_("still following"), ordering="following_count")
    def still_following(self, scene: Any) -> int:
        return scene.following_count


@admin.register(Binding)
class BindingAdmin(ReadOnly, KeysetModelAdmin):
    list_display = ["user", "follower", "account", "state", "bound_at", "unbound_at"]
    list_filter = [AccountFilter]
    list_select_related = ["account", "subscriber", "user"]
    search_help_text = _("OpenID or user name; the whole value")
    actions = ["unbind"]

    def has_unbind_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.change_binding")

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        matching: QuerySet[Any] = queryset.filter(user__username=term)
        return matching if matching.exists() else queryset.filter(subscriber__openid=term)

    @display(description=_("follower"))
    def follower(self, binding: Binding) -> str:
        return follower_link(binding.subscriber.openid)

    @display(
        description=_("status"),
        label={_("bound"): "success", _("dormant"): "info", _("ended"): "warning"},
    )
    def state(self, binding: Binding) -> str:
        if not binding.is_active:
            return str(_("ended"))
        return str(_("dormant") if binding.is_dormant else _("bound"))

    @action(description=_("Unbind"), permissions=["unbind"])
    def unbind(self, request: HttpRequest, queryset: QuerySet[Binding]) -> None:
        ended = sum(unbind(binding) for binding in queryset)
        messages.success(
            request, ngettext("%s binding ended.", "%s bindings ended.", ended) % ended
        )


class BindingRequestForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = BindingRequest
        fields = ["account", "user"]


@admin.register(BindingRequest)
class BindingRequestAdmin(KeysetModelAdmin):
    form = BindingRequestForm
    list_display = ["user", "account", "shown_state", "reason", "created_at", "expires_at"]
    list_filter = [AccountFilter]
    list_select_related = ["account", "user"]
    autocomplete_fields = ["user"]
    search_help_text = _("user name; the whole value")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return ["account", "user"]
        return [
            ("account", "user"), ("shown_state", "reason"), ("created_at", "expires_at"),
            "completed_at",
        ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return []
        return [
            "account",
            "user",
            "shown_state",
            "reason",
            "created_at",
            "expires_at",
            "completed_at",
        ]

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        matching: QuerySet[Any] = queryset.filter(user__username=term)
        return matching

    @display(
        description=_("status"),
        label={
            BindingRequest.State.WAITING.label: "info",
            BindingRequest.State.BOUND.label: "success",
            BindingRequest.State.EXPIRED.label: "warning",
            BindingRequest.State.REFUSED.label: "danger",
        },
    )
    def shown_state(self, request: BindingRequest) -> str:
        return str(request.state.label)

    @display(description=_("refused because"))
    def reason(self, request: BindingRequest) -> str:
        return request.get_refused_reason_display() or "–"

    def save_model(
        self, request: HttpRequest, obj: BindingRequest, form: Any, change: bool
    ) -> None:
        started = start_binding(account=obj.account, user=obj.user)
        obj.pk = started.pk
        messages.warning(
            request,
            format_html(
                "{} <code>{}</code>",
                _(
                    "The scene of the one-time code, shown this once. Make a QR code of it "
                    "(scene_str) and give it to this user alone, within ten minutes:"
                ),
                started.scene,
            ),
        )


@admin.register(BindingScan)
class BindingScanAdmin(ReadOnly, KeysetModelAdmin):
    list_display = ["event_time", "follower", "account", "result", "reason", "request"]
    list_filter = [AccountFilter, "outcome", "refused_reason"]
    list_select_related = ["account", "subscriber", "request__user"]
    search_help_text = _("OpenID; the whole value")

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        matching: QuerySet[Any] = queryset.filter(subscriber__openid=term)
        return matching

    @display(description=_("follower"))
    def follower(self, scan: BindingScan) -> str:
        return follower_link(scan.subscriber.openid)

    @display(
        description=_("outcome"),
        label={
            BindingScan.Outcome.BOUND.label: "success",
            BindingScan.Outcome.ALREADY_BOUND.label: "info",
            BindingScan.Outcome.REFUSED.label: "danger",
        },
    )
    def result(self, scan: BindingScan) -> str:
        return scan.get_outcome_display()

    @display(description=_("refused because"))
    def reason(self, scan: BindingScan) -> str:
        return scan.get_refused_reason_display() or "–"
