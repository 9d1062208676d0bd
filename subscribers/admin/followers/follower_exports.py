"""Exports of followers: the request for one from their list, and the page of a user's files."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    QueryDict,
)
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils import timezone, translation
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from events.admin.access import AccountModelAdmin
from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.audit.record import record
from events.models import private_files, with_account
from events.viewer import visible_to
from subscribers.admin.followers.follower_filters import asked_for
from subscribers.admin.followers.segments import number_of
from subscribers.models import FollowerExport
from subscribers.segments.conditions import taken
from subscribers.segments.export import FAILURES, may_still_see

__all__ = ["WithExports"]

# Seconds after which the page of exports reloads while the worker writes a file.
_RELOAD_AFTER = 4


class WithExports(AccountModelAdmin):
    """The part of the followers' admin that counts, saves and exports the filtered followers."""

    list_before_template = "admin/subscribers/subscriber/over_list.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.export)
        return [path("export/", view, name="subscribers_subscriber_export"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context is None or "cl" not in context:
            return response
        asked = request.GET.copy()
        for name in ("older_than", "newer_than"):
            asked.pop(name, None)
        conditions = taken(asked.dict())
        is_narrowed = bool(conditions or asked.get("segment"))
        is_searched = bool(asked.get("q"))
        query = asked.urlencode()
        context["over_list"] = {
            "query": query,
            "is_narrowed": is_narrowed and not is_searched,
            "number": number_of(f"followers {query} {request.user.pk}", context["cl"].queryset)
            if is_narrowed and not is_searched
            else None,
            "may_save": request.user.has_perm("subscribers.add_segment")
            and bool(conditions)
            and not asked.get("segment"),
            "may_tag": request.user.has_perm("subscribers.change_subscriber")
            and is_narrowed
            and not is_searched,
            "may_export": request.user.has_perm("subscribers.add_followerexport")
            and not is_searched,
        }
        return response

    def export(self, request: HttpRequest) -> HttpResponse:
        """Asks the worker to write a file of the followers that the list's filters show."""
        if not request.user.has_perm("subscribers.add_followerexport"):
            raise PermissionDenied
        if request.method != "POST":
            # A user whose session ended signs in again; without a Referer, the browser then
            # opens this address with GET.
            return HttpResponseRedirect(reverse("admin:subscribers_subscriber_changelist"))
        if request.POST.get("format") not in FollowerExport.Format.values:
            raise BadRequest("There is no such format.")
        asked = QueryDict(request.POST.get("query", "")).dict()
        account, conditions, _zone = asked_for(request, asked)
        with transaction.atomic():
            export = FollowerExport.objects.create(
                account=account,
                user_id=request.user.pk or 0,
                conditions=conditions,
                format=request.POST["format"],
                language=translation.get_language() or "",
            )
            record("export", export, account=account, details={"conditions": conditions})
        messages.success(request, _("The worker writes the file. It appears here when ready."))
        return HttpResponseRedirect(reverse("admin:subscribers_followerexport_changelist"))


@admin.register(FollowerExport)
class FollowerExportAdmin(ReadOnly, KeysetModelAdmin):
    """The user's own exports. Nobody sees those of other users."""

    list_display = ["requested", "account", "format", "number", "state", "until", "download"]
    list_display_links = None
    search_fields = ("pk",)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.file_view)
        name = "subscribers_followerexport_file"
        return [path("<int:pk>/file/", view, name=name), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> Any:
        exports = with_account(FollowerExport.objects.filter(user=request.user.pk))
        # An export of all accounts has no account, so it is in no list of visible accounts.
        return visible_to(request.user, exports) | exports.filter(account=None)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        for export in changelist.result_list:
            export.is_withheld = bool(export.file) and not may_still_see(request.user, export)
        return changelist

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        if self.get_queryset(request).waiting().exists():
            response["Refresh"] = str(_RELOAD_AFTER)
        return response

    def file_view(self, request: HttpRequest, pk: int) -> Any:
        """The file, for the user who asked for it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        export = self.get_queryset(request).downloadable(timezone.now()).filter(pk=pk).first()
        if export is None or not may_still_see(request.user, export):
            raise Http404
        record("download", export, account=export.account)
        day = timezone.localtime(export.requested_at).date()
        name = f"followers-{day}.{export.format}"
        content = private_files().open(export.file.name)
        return FileResponse(content, as_attachment=True, filename=name)

    @display(description=_("requested"))
    def requested(self, export: FollowerExport) -> str:
        return localize(timezone.localtime(export.requested_at))

    @display(description=_("followers"))
    def number(self, export: FollowerExport) -> str:
        return "–" if export.rows is None else localize(export.rows, use_l10n=True)

    @display(
        description=_("status"),
        label={"ready": "success", "waiting": "info", "failed": "danger", "withheld": "warning"},
    )
    def state(self, export: Any) -> tuple[str, str]:
        if export.is_withheld:
            return "withheld", str(_("withheld: you may no longer see all of it"))
        if export.file:
            return "ready", str(_("ready"))
        if export.due_at is None:
            return "failed", str(FAILURES.get(export.failure, export.failure))
        return "waiting", str(_("being written"))

    @display(description=_("kept until"))
    def until(self, export: FollowerExport) -> str:
        return localize(timezone.localtime(export.expires_at)) if export.expires_at else "–"

    @display(description=_("file"))
    def download(self, export: Any) -> str:
        if not export.file or export.is_withheld:
            return "–"
        return render_to_string("admin/subscribers/followerexport/file.html", {"pk": export.pk})
