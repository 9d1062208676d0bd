"""The operators' pages for followers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.html import moment
from events.admin.list_filters import AccountFilter
from events.viewer import may_see_openids, shown_openid
from subscribers.admin.followers.follower_edits import WithEdits, edits_of
from subscribers.admin.followers.follower_exports import WithExports
from subscribers.admin.followers.follower_filters import FILTERS, may_see_bindings
from subscribers.admin.followers.latest_events import latest_events
from subscribers.admin.followers.person import WithPerson
from subscribers.admin.followers.personal_data import WithPersonalData
from subscribers.admin.messages.conversation_page import WithConversation
from subscribers.admin.sync.syncs import start_url
from subscribers.models import Binding, Subscriber
from subscribers.models.binding import with_bound_user
from subscribers.qr_codes.code_names import CodeNames
from subscribers.sync.follow_channels import way_of_following
from subscribers.tagging.tag_names import tag_names, tags_of

_LATEST_EVENTS = 20


@admin.register(Subscriber)
class SubscriberAdmin(
    WithPerson,
    WithPersonalData,
    WithConversation,
    WithExports,
    WithEdits,
    ReadOnly,
    KeysetModelAdmin,
):
    holds_personal_data = True
    list_display = [
        "shown_openid", "remark", "following", "tags", "channel", "first_followed", "last_followed",
        "last_unfollowed", "last_seen", "bound_user", "event_count", "account",
    ]  # fmt: skip
    list_display_links = ["shown_openid"]
    list_filter = [AccountFilter, *FILTERS]
    search_help_text = _("OpenID, scene or bound user name; the whole value")
    actions = ["edit_tags", "refresh_profiles"]
    # This action only redirects to a page.
    actions_outside_transaction = ("edit_tags",)
    actions_list = ["sync_followers"]
    actions_detail = ["person", "edit_profile", "export_personal_data", "erase_personal_data"]
    fieldsets = [
        (None, {"fields": [("shown_openid", "account"), ("follows_now", "bound_user")]}),
        (
            _("Follows"),
            {
                "fields": [
                    ("first_followed", "last_followed"),
                    ("last_unfollowed", "last_seen"),
                    ("follow_count", "unfollow_count", "event_count"),
                    ("first_channel", "last_channel"),
                ]
            },
        ),
        (
            _("Profile"),
            {
                "fields": [
                    ("unionid", "language"), ("remark", "tags_and_edits"),
                    ("way", "channel_by_wechat"), ("profile_synced", "refresh_requested"),
                ]
            },
        ),
        (_("Bindings"), {"fields": ["bindings"]}),
        (_("Latest events"), {"fields": ["latest_events"]}),
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        own = [
            "shown_openid", "follows_now", "bound_user", "first_followed", "last_followed",
            "last_unfollowed", "last_seen", "way", "profile_synced", "refresh_requested",
            "bindings", "latest_events", "tags_and_edits", "first_channel", "last_channel",
            "channel_by_wechat",
        ]  # fmt: skip
        return own + [field.name for field in self.opts.fields]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscriber]:
        return with_bound_user(super().get_queryset(request))

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        of_user = Binding.objects.active().filter(user__username=term).values("subscriber")
        none = queryset.none()
        for matching in (
            queryset.filter(openid=term) if may_see_openids() else none,
            queryset.filter(first_scene=term).exclude(first_scene=""),
            queryset.filter(pk__in=of_user) if may_see_bindings() else none,
        ):
            if matching.order_by().exists():
                return matching
        return super().search_exactly(queryset, term)

    def get_list_display(self, request: HttpRequest) -> Any:
        # A remark is a name that colleagues gave the follower.
        shown = {"bound_user": may_see_bindings(), "remark": may_see_openids()}
        return [name for name in super().get_list_display(request) if shown.get(name, True)]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        _name_channels(changelist.result_list)
        _name_tags(changelist.result_list)
        return changelist

    def get_list_filter(self, request: HttpRequest) -> Any:
        filters = super().get_list_filter(request)
        return [
            offered
            for offered in filters
            if offered.parameter_name != "bound" or may_see_bindings()
        ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leaves out fields that the user may not see on the pages they come from."""
        hidden = {
            name
            for name, permission in (
                ("bound_user", "subscribers.view_binding"),
                ("bindings", "subscribers.view_binding"),
                ("latest_events", "events.view_eventlog"),
            )
            if not request.user.has_perm(permission)
        }
        if not may_see_openids():
            # A remark is a name that colleagues gave the follower.
            hidden |= {"unionid", "remark"}
        shown = []
        for title, options in super().get_fieldsets(request, obj):
            rows = [
                tuple(name for name in row if name not in hidden)
                for row in (
                    [field] if isinstance(field, str) else field for field in options["fields"]
                )
            ]
            if rows := [row for row in rows if row]:
                shown.append((title, {**options, "fields": rows}))
        return shown

    @display(description="OpenID")
    def shown_openid(self, subscriber: Subscriber) -> str:
        return shown_openid(subscriber.openid)

    @display(description=_("status"), label={"yes": "success", "no": "warning", "erased": "info"})
    def following(self, subscriber: Subscriber) -> tuple[str, str]:
        status = str(subscriber.follow_status)
        if subscriber.erased_at is not None:
            return "erased", str(_("%s (erased)") % status)
        return "yes" if subscriber.is_following else "no", status

    @display(description=_("status"))
    def follows_now(self, subscriber: Subscriber) -> str:
        return self.following(subscriber)[1]

    @display(description=_("tags (标签)"))
    def tags(self, subscriber: Any) -> str:
        return ", ".join(subscriber.shown_tags) or "–"

    @display(description=_("tags (标签)"))
    def tags_and_edits(self, subscriber: Subscriber) -> str:
        names = tag_names([subscriber.account_id])
        context = {"tags": tags_of(subscriber, names), "edits": edits_of(subscriber)}
        return render_to_string("admin/subscribers/subscriber/tags.html", context)

    @display(description=_("first channel"))
    def channel(self, subscriber: Any) -> str:
        return subscriber.channel_name or subscriber.first_scene or "–"

    @display(description=_("first channel"))
    def first_channel(self, subscriber: Subscriber) -> str:
        return _in_words(subscriber, subscriber.first_scene)

    @display(description=_("last channel"))
    def last_channel(self, subscriber: Subscriber) -> str:
        return _in_words(subscriber, subscriber.last_scene)

    @display(description=_("channel of the last follow, as WeChat says it"))
    def channel_by_wechat(self, subscriber: Subscriber) -> str:
        return _in_words(subscriber, subscriber.qr_scene)

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
        rows = [
            {
                "user": binding.user.get_username() if binding.user else "–",
                "bound": moment(binding.bound_at, subscriber.account),
                "unbound": moment(binding.unbound_at, subscriber.account),
            }
            for binding in bindings
        ]
        if not rows:
            return "–"
        return render_to_string("admin/subscribers/subscriber/bindings.html", {"bindings": rows})

    @display(description=_("events"))
    def latest_events(self, subscriber: Subscriber) -> str:
        return render_to_string(
            "admin/subscribers/subscriber/latest_events.html",
            {
                "events": latest_events(subscriber, _LATEST_EVENTS),
                "openid": subscriber.openid if may_see_openids() else "",
            },
        )

    def has_refresh_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.change_subscriber")

    @action(description=_("Refresh from WeChat"), permissions=["refresh"])
    def refresh_profiles(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> None:
        chosen = Subscriber.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)))
        # A refresh that the fold requested keeps its earlier time.
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


def _name_channels(followers: list[Any]) -> None:
    """Sets on each follower the name of the code that came first, with one query for all."""
    names = CodeNames(
        (follower.account_id for follower in followers),
        (follower.first_scene for follower in followers),
    )
    for follower in followers:
        follower.channel_name = names.of(follower.account_id, follower.first_scene)


def _in_words(subscriber: Any, scene: str) -> str:
    """A scene of the follower with the code's name; one query for all that the page shows."""
    if not hasattr(subscriber, "code_names"):
        scenes = (subscriber.first_scene, subscriber.last_scene, subscriber.qr_scene)
        subscriber.code_names = CodeNames([subscriber.account_id], scenes)
    return subscriber.code_names.in_words(subscriber.account_id, scene) or "–"


def _name_tags(followers: list[Any]) -> None:
    """Sets on each follower the names of the tags, with one query for all."""
    tagged = {follower.account_id for follower in followers if follower.tag_ids}
    names = tag_names(tagged) if tagged else {}
    for follower in followers:
        follower.shown_tags = tags_of(follower, names)
