"""The operators' pages for follower syncs: start, progress, report."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action, display
from unfold.widgets import UnfoldBooleanSwitchWidget

from events.admin.changelist import KeysetModelAdmin
from events.admin.hindered import NeedsRight
from events.admin.html import confirmation, moment
from events.admin.list_filters import AccountFilter
from events.audit.record import record
from events.models import OfficialAccount
from events.platform.rights import able_accounts
from subscribers.models import FollowerSync, ProfileFetch

__all__ = ["FollowerSyncAdmin", "page_of", "refusal_sentence", "start_url", "status_of"]

# Seconds after which the page of a run that is under way reloads.
_REFRESH_EVERY = 2


def start_url(account: OfficialAccount | None = None) -> str:
    """The address of the page that starts a sync, for one account if it is given."""
    query = f"?{urlencode({'account': account.pk})}" if account else ""
    return reverse("admin:subscribers_followersync_add") + query


class FollowerSyncForm(forms.ModelForm):  # type: ignore[type-arg]
    ask_again = forms.BooleanField(
        label=_("Ask WeChat again"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("For an account that WeChat does not let ask for its followers."),
    )

    class Meta:
        model = FollowerSync
        fields = ["account"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        account = cleaned.get("account")
        fetch = ProfileFetch.objects.filter(account=account).first() if account else None
        if fetch and fetch.is_refused and not cleaned.get("ask_again"):
            self.add_error("ask_again", refusal_sentence(fetch))
        return cleaned


def refusal_sentence(fetch: ProfileFetch) -> str:
    """Says that WeChat does not let the account ask for its followers, and since when."""
    return str(
        _(
            "WeChat does not let this account ask for its followers (48001): that takes a "
            "certified account (已认证). Followers are known by their events alone. It said so at "
            "%(time)s, and is not asked again by itself."
        )
        % {"time": _local(fetch.failed_at, fetch.account)}
    )


def _local(at: Any, account: OfficialAccount) -> str:
    return f"{at.astimezone(account.zone):%Y-%m-%d %H:%M}"


def status_of(sync: FollowerSync) -> tuple[str, str]:
    """The key and the words for a run's status."""
    if sync.state == FollowerSync.State.FINISHED:
        return "finished", str(_("finished"))
    if not sync.is_open:
        return "abandoned", str(sync.get_state_display())
    if sync.due_at is None:
        return "failed", str(_("failed"))
    if sync.leased_until is not None and sync.leased_until > timezone.now():
        return "running", str(sync.get_state_display())
    if sync.failure:
        return "retry_later", str(_("retried later"))
    return "waiting", str(_("waiting for the worker"))


_COLOURS = {
    "finished": "success",
    "running": "info",
    "waiting": "info",
    "retry_later": "warning",
    "failed": "danger",
    "abandoned": "warning",
}


@admin.register(FollowerSync)
class FollowerSyncAdmin(NeedsRight, KeysetModelAdmin):
    needs_right = "/cgi-bin/user/get"
    form = FollowerSyncForm
    list_display = [
        "requested", "account", "badge", "seen", "new", "missed_follows", "missed_unfollows",
        "unchanged", "origin",
    ]  # fmt: skip
    list_filter = [AccountFilter]
    actions = ["try_again"]
    actions_detail = ["try_this_again"]

    class Media:
        js = ["wechat_site/live.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[FollowerSync]:
        syncs: QuerySet[FollowerSync] = super().get_queryset(request)
        return syncs.select_related("requested_by")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_retry_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whether the user may try a failed run again; for a given run, also whether it failed."""
        if not self.has_add_permission(request):
            return False
        if object_id is None:
            return True
        sync = self.get_object(request, object_id)
        return sync is not None and sync.has_failed

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return super().add_view(
            request, form_url, {"title": _("Sync followers"), **(extra_context or {})}
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        options: dict[str, Any] = {"fields": self.get_fields(request, obj)}
        if obj is None:
            options["description"] = _(
                "The worker reads WeChat's list of followers and compares it with ours. What was "
                "missed enters the event log; nothing changes at WeChat."
            )
        return [(None, options)]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is not None:
            return ["account", "progress"]
        refused = any(fetch.is_refused for fetch in ProfileFetch.objects.failed())
        return ["account", "ask_again"] if refused else ["account"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None else ["account", "progress"]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "account":
            kwargs["queryset"] = able_accounts()
            kwargs["help_text"] = _("Active accounts that have an AppSecret.")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        # Without the wrapper, the field has no buttons that add or change an account.
        if isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def save_model(self, request: HttpRequest, obj: FollowerSync, form: Any, change: bool) -> None:
        now = timezone.now()
        sync, is_new = FollowerSync.objects.begin(
            obj.account,
            origin=FollowerSync.Origin.OPERATOR,
            now=now,
            by=request.user,  # type: ignore[arg-type]
        )
        if not is_new:
            FollowerSync.objects.open().filter(pk=sync.pk, lease="").update(due_at=now)
            messages.info(request, _("A sync of this account is already under way."))
        obj.pk = sync.pk

    def response_add(
        self, request: HttpRequest, obj: FollowerSync, post_url_continue: Any = None
    ) -> HttpResponse:
        return HttpResponseRedirect(page_of(obj))

    @display(description=_("requested"))
    def requested(self, sync: FollowerSync) -> str:
        return moment(sync.requested_at, sync.account)

    @display(description=_("status"), label=_COLOURS)
    def badge(self, sync: FollowerSync) -> tuple[str, str]:
        return status_of(sync)

    @display(description=_("progress"))
    def progress(self, sync: FollowerSync) -> str:
        key, words = status_of(sync)
        is_under_way = key in {"running", "waiting", "retry_later"}
        context = {
            "sync": sync,
            "key": key,
            "words": words,
            "colour": _COLOURS[key],
            "refresh_seconds": _REFRESH_EVERY if is_under_way else None,
            "goes_on_at": moment(sync.due_at, sync.account) if key == "retry_later" else "",
            "done": min(sync.seen, sync.total or 0),
            "counts": [
                (name, getattr(sync, field))
                for field, name in _REPORT.items()
                if getattr(sync, field) or field in _ALWAYS_REPORTED
            ],
            "times": [
                (_("requested by"), _requested_by(sync)),
                (_("requested"), moment(sync.requested_at, sync.account)),
                (_("started"), moment(sync.started_at, sync.account)),
                (_("ended at"), moment(sync.finished_at, sync.account)),
            ],
        }
        return render_to_string("admin/subscribers/followersync/progress.html", context)

    @action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[FollowerSync]) -> None:
        chosen = FollowerSync.objects.open().filter(
            pk__in=list(queryset.values_list("pk", flat=True))
        )
        again = chosen.try_again(timezone.now())
        if again:
            messages.success(
                request, ngettext("%s sync goes on.", "%s syncs go on.", again) % again
            )
        else:
            messages.info(request, _("Only failed syncs can be tried again."))

    @action(description=_("Try again"), permissions=["retry"])
    def try_this_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        back = reverse("admin:subscribers_followersync_change", args=[object_id])
        if request.method != "POST":
            return confirmation(
                request,
                self,
                title=_("Try again"),
                sentences=[_("The sync continues where it stopped.")],
                back=back,
            )
        with transaction.atomic():
            record("try_again", self.get_object(request, object_id) or FollowerSync)
            self.try_again(request, self.get_queryset(request).filter(pk=object_id))
        return HttpResponseRedirect(back)


_REPORT = {
    "seen": _("seen"),
    "new": _("new"),
    "missed_follows": _("missed follows"),
    "missed_unfollows": _("missed unfollows"),
    "unchanged": _("unchanged"),
    "left": _("left meanwhile"),
    "unknown": _("OpenIDs that WeChat does not know"),
}
_ALWAYS_REPORTED = {"seen", "new", "missed_follows", "missed_unfollows", "unchanged"}


def _requested_by(sync: FollowerSync) -> str:
    return sync.requested_by.get_username() if sync.requested_by else sync.get_origin_display()


def page_of(sync: FollowerSync) -> str:
    """The address of a run's page."""
    return reverse("admin:subscribers_followersync_change", args=[sync.pk])
