"""Whether accounts may ask WeChat for their followers: as a list, and on the account's page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display

from events.admin.access import AccountModelAdmin
from events.admin.accounts.accounts import OfficialAccountAdmin
from events.admin.changelist import ReadOnly
from events.admin.hindered import NeedsRight
from events.admin.html import moment
from events.models import OfficialAccount
from subscribers.admin.sync.syncs import page_of, refusal_sentence, start_url, status_of
from subscribers.models import FollowerSync, ProfileFetch

__all__ = ["AccountWithFollowersAdmin", "ProfileFetchAdmin"]


@admin.register(ProfileFetch)
class ProfileFetchAdmin(NeedsRight, ReadOnly, AccountModelAdmin):
    needs_right = "/cgi-bin/user/info/batchget"
    list_display = ["account", "badge", "shown_reason", "failed", "next_attempt"]
    list_display_links = None
    actions = ["try_again"]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("subscribers.change_profilefetch")

    @display(
        description=_("status"),
        label={"works": "success", "retry_later": "warning", "failed": "danger"},
    )
    def badge(self, fetch: ProfileFetch) -> tuple[str, str]:
        if fetch.due_at is None:
            return "failed", str(_("failed"))
        if fetch.failure:
            return "retry_later", str(_("retried later"))
        return "works", str(_("works"))

    @display(description=_("reason"))
    def shown_reason(self, fetch: ProfileFetch) -> str:
        return fetch.reason or "–"

    @display(description=_("failed"))
    def failed(self, fetch: ProfileFetch) -> str:
        return moment(fetch.failed_at, fetch.account)

    @display(description=_("next attempt"))
    def next_attempt(self, fetch: ProfileFetch) -> str:
        return moment(fetch.due_at if fetch.failure else None, fetch.account)

    @action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[ProfileFetch]) -> None:
        chosen = ProfileFetch.objects.filter(pk__in=list(queryset.values_list("pk", flat=True)))
        again = chosen.try_again(timezone.now())
        messages.info(
            request,
            ngettext(
                "Profiles of %s account are asked for again.",
                "Profiles of %s accounts are asked for again.",
                again,
            )
            % again,
        )


admin.site.unregister(OfficialAccount)


@admin.register(OfficialAccount)
class AccountWithFollowersAdmin(OfficialAccountAdmin):
    """The account's page, with the state of its followers."""

    actions_detail = [*OfficialAccountAdmin.actions_detail, "sync_followers"]
    readonly_fields = [*OfficialAccountAdmin.readonly_fields, "follower_state"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not request.user.has_perm("subscribers.view_followersync"):
            return fieldsets
        return [*fieldsets, (_("Followers"), {"fields": ["follower_state"]})]

    def has_sync_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("subscribers.add_followersync")

    @display(description=_("comparison with WeChat"))
    def follower_state(self, account: OfficialAccount) -> str:
        last = FollowerSync.objects.filter(account=account).order_by("-pk").first()
        fetch = ProfileFetch.objects.filter(account=account).first()
        context = {
            "sync_url": page_of(last) if last else "",
            "requested_at": moment(last.requested_at, account) if last else "",
            "sync_status": status_of(last)[1] if last else "",
            "refusal": refusal_sentence(fetch) if fetch and fetch.is_refused else "",
            "failure": fetch.reason if fetch and fetch.failure else "",
        }
        return render_to_string("admin/subscribers/account/follower_state.html", context)

    @action(description=_("Sync followers"), permissions=["sync"])
    def sync_followers(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.get_object(request, object_id)
        if account is None:
            raise Http404
        return HttpResponseRedirect(start_url(account))
