from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.filters import AccountFilter
from events.admin.html import follower_link, menu_name, moment
from events.kinds import label
from events.menus.names import MenuNames
from events.models import EventLog, with_account
from subscribers.admin.messages import WithConversation
from subscribers.admin.personal_data import WithPersonalData
from subscribers.admin.syncs import start_url
from subscribers.binding.bind import start_binding, unbind
from subscribers.models import Binding, BindingRequest, BindingScan, Subscriber
from subscribers.models.binding import with_bound_user
from subscribers.qr_codes.fetch_tickets import FAILURES
from subscribers.sync.follow_channels import way_of_following

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
class SubscriberAdmin(WithPersonalData, WithConversation, ReadOnly, KeysetModelAdmin):
    list_display = [
        "openid", "following", "last_followed", "last_unfollowed", "first_scene", "bound_user",
        "event_count", "account",
    ]  # fmt: skip
    list_filter = [AccountFilter, FollowingFilter, BoundFilter]
    search_help_text = _("OpenID, QR scene or bound user name; the whole value")
    actions = ["refresh_profiles"]
    actions_list = ["sync_followers"]
    actions_detail = ["export_personal_data", "erase_personal_data"]
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
        (
            _("Profile"),
            {
                "fields": [
                    ("unionid", "language"), ("remark", "tag_ids"), ("way", "qr_scene"),
                    ("profile_synced", "refresh_requested"),
                ]
            },
        ),
        (_("Bindings"), {"fields": ["bindings"]}),
        (_("Latest events"), {"fields": ["latest_events"]}),
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        own = [
            "follows_now", "bound_user", "first_followed", "last_followed", "last_unfollowed",
            "last_seen", "way", "profile_synced", "refresh_requested", "bindings", "latest_events",
        ]  # fmt: skip
        return own + [field.name for field in self.opts.fields]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscriber]:
        return with_account(with_bound_user(super().get_queryset(request)))

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

    @display(description=_("way of following"))
    def way(self, subscriber: Subscriber) -> str:
        return way_of_following(subscriber.subscribe_scene) or "–"

    @display(description=_("profile synced"))
    def profile_synced(self, subscriber: Subscriber) -> str:
        return moment(subscriber.profile_synced_at, subscriber.account)

    @display(description=_("refresh requested"))
    def refresh_requested(self, subscriber: Subscriber) -> str:
        return moment(subscriber.refresh_requested_at, subscriber.account)

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
                    binding.user.get_username() if binding.user else "–",
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
        events = list(
            EventLog.objects.with_openid(subscriber.openid)
            .filter(account=subscriber.account_id)
            .newest_first()[:_LATEST_EVENTS]
        )
        names = MenuNames.for_events(events)
        rows = format_html_join(
            "",
            '<tr><td><a href="{}">{}</a></td><td>{}</td><td>{}{}</td></tr>',
            (
                (
                    reverse("admin:events_eventlog_change", args=[event.pk]),
                    moment(event.event_time, subscriber.account),
                    label(event.kind),
                    menu_name(names.of(event)),
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

    def has_refresh_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.change_subscriber")

    @action(description=_("Fetch the profile anew"), permissions=["refresh"])
    def refresh_profiles(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> None:
        chosen = Subscriber.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)))
        # What the fold asked for already is not put off.
        asked = chosen.filter(refresh_requested_at=None).update(refresh_requested_at=timezone.now())
        messages.info(
            request,
            ngettext(
                "The worker asks WeChat for %s profile.",
                "The worker asks WeChat for %s profiles.",
                asked,
            )
            % asked,
        )

    def has_sync_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.add_followersync")

    @action(description=_("Sync followers"), permissions=["sync"])
    def sync_followers(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(start_url())


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
            ("completed_at", "picture"),
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

    @display(description=_("picture of the code"))
    def picture(self, request: BindingRequest) -> str:
        """Whether its user can be shown one; the picture itself is for nobody else."""
        if request.state != BindingRequest.State.WAITING:
            return "–"
        if request.failure:
            return f"{FAILURES.get(request.failure, '')} {request.failure_text}"
        if request.due_at is not None:
            return str(_("waiting for WeChat"))
        return str(_("ready"))

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
                    "The worker has WeChat make the code, and the API shows its picture to this "
                    "user alone, for ten minutes. The code's scene, shown this once:"
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
