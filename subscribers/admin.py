from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.db.models import Count, Exists, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from events.admin.filters import AccountFilter
from events.admin.markup import follower_link, moment
from events.keyset import KeysetModelAdmin, ReadOnly
from events.kinds import label
from events.models import EventLog, with_account
from events.remembered import remembered
from subscribers.admin_messages import WithConversation
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
        active = Binding.objects.active()
        match self.value():
            case "yes":
                # Beginning at the bindings, which are far fewer than the followers.
                return queryset.filter(pk__in=active.values("subscriber"))
            case "no":
                return queryset.filter(~Exists(active.filter(subscriber=OuterRef("pk"))))
            case _:
                return queryset


@admin.register(Subscriber)
class SubscriberAdmin(WithConversation, ReadOnly, KeysetModelAdmin):
    list_display = [
        "openid", "following", "last_followed", "last_unfollowed", "first_scene", "bound_user",
        "event_count", "account",
    ]  # fmt: skip
    list_filter = [AccountFilter, FollowingFilter, BoundFilter]
    search_help_text = _("OpenID, QR scene or bound user name; the whole value")
    fieldsets = [
        (None, {"fields": [("openid", "account"), ("follows_now", "bound_user")]}),
        (
            _("Follows"),
            {
                "fields": [
                    ("first_followed", "last_followed"),
                    ("last_unfollowed", "last_seen"),
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
        own = [
            "follows_now", "bound_user", "first_followed", "last_followed", "last_unfollowed",
            "last_seen", "bindings", "latest_events",
        ]  # fmt: skip
        return own + [field.name for field in self.opts.fields]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscriber]:
        return with_account(super().get_queryset(request).with_bound_user())

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

    @display(description=_("status"), label={"yes": "success", "no": "warning"})
    def following(self, subscriber: Subscriber) -> tuple[str, str]:
        if subscriber.is_following:
            return "yes", str(_("following"))
        return "no", str(_("not following"))

    @display(description=_("status"))
    def follows_now(self, subscriber: Subscriber) -> str:
        return self.following(subscriber)[1]

    @display(description=_("first followed"))
    def first_followed(self, subscriber: Subscriber) -> str:
        return moment(subscriber.first_followed_at, subscriber.account)

    @display(description=_("last followed"))
    def last_followed(self, subscriber: Subscriber) -> str:
        return moment(subscriber.last_followed_at, subscriber.account)

    @display(description=_("last unfollowed"))
    def last_unfollowed(self, subscriber: Subscriber) -> str:
        return moment(subscriber.last_unfollowed_at, subscriber.account)

    @display(description=_("last seen"))
    def last_seen(self, subscriber: Subscriber) -> str:
        return moment(subscriber.last_seen_at, subscriber.account)

    @display(description=_("bound user"))
    def bound_user(self, subscriber: Any) -> str:
        return subscriber.bound_username or "–"

    @display(description=_("bindings"))
    def bindings(self, subscriber: Subscriber) -> str:
        bindings = subscriber.bindings.select_related("user").order_by("-bound_at")
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                (
                    binding.user.get_username(),
                    moment(binding.bound_at, subscriber.account),
                    moment(binding.unbound_at, subscriber.account),
                )
                for binding in bindings
            ),
        )
        if not rows:
            return "–"
        return format_html(
            '<table class="facts"><tr><th>{}</th><th>{}</th><th>{}</th></tr>{}</table>',
            capfirst(_("user")),
            capfirst(_("bound")),
            capfirst(_("unbound")),
            rows,
        )

    @display(description=_("events"))
    def latest_events(self, subscriber: Subscriber) -> str:
        events = (
            EventLog.objects.with_openid(subscriber.openid)
            .filter(account=subscriber.account_id)
            .newest_first()[:_LATEST_EVENTS]
        )
        rows = format_html_join(
            "",
            '<tr><td><a href="{}">{}</a></td><td>{}</td><td>{}</td></tr>',
            (
                (
                    reverse("admin:events_eventlog_change", args=[event.pk]),
                    moment(event.event_time, subscriber.account),
                    label(event.kind),
                    event.masked(event.scene or event.event_key),
                )
                for event in events
            ),
        )
        return format_html(
            '<table class="facts">{}</table><p><a href="{}?{}">{}</a></p>',
            rows,
            reverse("admin:events_eventlog_changelist"),
            urlencode({"q": subscriber.openid}),
            _("All events of this follower"),
        )


def _with_counts(scenes: QuerySet[QRScene]) -> QuerySet[Any]:
    """Adds first_count, how many came through each scene first, and following_count of them."""
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

    return scenes.annotate(
        first_count=counted(followers),
        following_count=counted(followers.filter(is_following=True)),
    )


class _QRSceneChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        shown: list[Any] = list(self.result_list)
        if shown and ORDER_VAR not in request.GET:
            keys = sorted(scene.pk for scene in shown)
            counts = remembered(
                f"scenes {keys}",
                lambda: {
                    scene.pk: (scene.first_count, scene.following_count)
                    for scene in _with_counts(QRScene.objects.filter(pk__in=keys))
                },
                rows=lambda counts: sum(first for first, _following in counts.values()),
            ).value
            for scene in shown:
                scene.first_count, scene.following_count = counts.get(scene.pk, (0, 0))
        self.result_list = shown


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

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _QRSceneChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[QRScene]:
        scenes = super().get_queryset(request)
        # A list in the order of the counts needs those of all scenes, whatever page is shown.
        return _with_counts(scenes) if ORDER_VAR in request.GET else scenes

    @display(description=_("validity"))
    def validity(self, scene: QRScene) -> str:
        if scene.expires_at is None:
            return str(_("permanent"))
        if scene.is_expired:
            return str(_("expired"))
        return moment(scene.expires_at, scene.account)

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
    list_display = ["user", "account", "badge", "reason", "created_at", "expires_at"]
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
        return [] if obj is None else flatten(self.get_fields(request, obj))

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        matching: QuerySet[Any] = queryset.filter(user__username=term)
        return matching

    @display(
        description=_("status"),
        label={
            BindingRequest.State.WAITING.value: "info",
            BindingRequest.State.BOUND.value: "success",
            BindingRequest.State.EXPIRED.value: "warning",
            BindingRequest.State.REFUSED.value: "danger",
        },
    )
    def badge(self, request: BindingRequest) -> tuple[str, str]:
        return request.state.value, str(request.state.label)

    @display(description=_("status"))
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
            BindingScan.Outcome.BOUND.value: "success",
            BindingScan.Outcome.ALREADY_BOUND.value: "info",
            BindingScan.Outcome.REFUSED.value: "danger",
        },
    )
    def result(self, scan: BindingScan) -> tuple[str, str]:
        return scan.outcome, scan.get_outcome_display()

    @display(description=_("refused because"))
    def reason(self, scan: BindingScan) -> str:
        return scan.get_refused_reason_display() or "–"
