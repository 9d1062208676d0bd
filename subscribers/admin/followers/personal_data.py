"""The operators' pages for one person's data: all that is known, erasing it, and the receipts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from events.admin.access import AccountModelAdmin
from events.admin.changelist import ReadOnly
from events.admin.list_filters import AccountFilter
from events.audit.record import record
from events.retention.archive import ArchiveError
from events.viewer import may_see_contents, may_see_openids
from subscribers.models import Erasure, Subscriber
from subscribers.personal_data.collect import collect
from subscribers.personal_data.erase import ArchivesBusy, erase, receipt
from subscribers.personal_data.in_words import tables_in_words
from subscribers.personal_data.requests import request_erasure

__all__ = ["COUNTED", "ErasureAdmin", "WithPersonalData"]

# What a receipt counts. The keys are the names in the signed text of the receipt.
COUNTED = {
    "archived events": _("archived events"),
    "binding requests": _("binding requests"),
    "binding scans": _("binding scans"),
    "bindings": _("bindings"),
    "carried-over states": _("states from before the oldest event"),
    "events": _("events"),
    "exports": _("follower exports"),
    "followers": _("followers"),
    "mentions": _("mentions in other events"),
    "messages": _("messages"),
    "questions": _("questions before binding"),
    "operators' log": _("lines of the operators' log"),
    "remarks to write": _("tags and remarks on their way to WeChat"),
    "sign-ins": _("sign-ins by WeChat"),
    "tokens of applications": _("tokens of applications"),
}


def _may(request: HttpRequest, permission: str) -> bool:
    """Whether the user has this permission, and may see all that the two pages show."""
    return request.user.has_perm(permission) and may_see_contents() and may_see_openids()


class WithPersonalData:
    """The part of a follower's page that shows and erases all that is known."""

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return _may(request, "subscribers.export_personal_data")

    def has_erase_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return _may(request, "subscribers.erase_personal_data")

    @action(description=_("Export personal data"), url_path="personal-data", permissions=["export"])
    def export_personal_data(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """All that is known of the follower, as a page, or as a file with ?format=json."""
        subscriber = self._person(request, object_id)
        said = collect(subscriber.account, subscriber.openid)
        self.log_change(request, subscriber, "export")  # type: ignore[attr-defined]
        if request.GET.get("format") == "json":
            response: HttpResponse = JsonResponse(
                said, json_dumps_params={"ensure_ascii": False, "indent": 2}
            )
            response["Content-Disposition"] = 'attachment; filename="personal-data.json"'
        else:
            response = self._page(
                request,
                subscriber,
                "admin/subscribers/personal_data/export.html",
                title=_("All that is known of this follower"),
                tables=tables_in_words(subscriber.account, said),
                account=subscriber.account,
                now=timezone.now().astimezone(subscriber.account.zone),
            )
        response["Cache-Control"] = "no-store"
        return response

    @action(description=_("Erase this person"), url_path="erase", permissions=["erase"])
    def erase_personal_data(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Shows what an erasure removes; erases once the operator has typed the OpenID."""
        subscriber = self._person(request, object_id)
        back = reverse("admin:subscribers_subscriber_change", args=[subscriber.pk])
        if subscriber.erased_at is not None:
            messages.info(request, _("This person was erased already."))
            return HttpResponseRedirect(back)
        is_wrong = False
        if request.method == "POST":
            if request.POST.get("openid", "").strip() == subscriber.openid:
                return self._erase(request, subscriber, back)
            is_wrong = True
        return self._page(
            request,
            subscriber,
            "admin/subscribers/personal_data/erase.html",
            title=_("Erase this person"),
            tables=tables_in_words(
                subscriber.account, collect(subscriber.account, subscriber.openid)
            ),
            is_wrong=is_wrong,
            back=back,
        )

    def _erase(self, request: HttpRequest, subscriber: Subscriber, back: str) -> HttpResponse:
        erasure = request_erasure(
            subscriber.account,
            subscriber.openid,
            reason=Erasure.Reason.REQUESTED,
            by=request.user,  # type: ignore[arg-type]
        )
        try:
            erase(erasure)
        except (ArchivesBusy, ArchiveError, DatabaseError) as error:
            messages.warning(request, _("Not erased yet: %s The worker tries again.") % error)
            return HttpResponseRedirect(back)
        messages.success(request, _("The person is erased. This is the receipt."))
        return HttpResponseRedirect(reverse("admin:subscribers_erasure_change", args=[erasure.pk]))

    def _person(self, request: HttpRequest, object_id: str) -> Subscriber:
        subscriber = self.get_object(request, object_id)  # type: ignore[attr-defined]
        if not isinstance(subscriber, Subscriber):
            raise Http404
        return subscriber

    def _page(
        self, request: HttpRequest, subscriber: Subscriber, template: str, **context: Any
    ) -> HttpResponse:
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),  # type: ignore[attr-defined]
                "opts": self.opts,  # type: ignore[attr-defined]
                "original": subscriber,
                **context,
            },
        )


@admin.register(Erasure)
class ErasureAdmin(ReadOnly, AccountModelAdmin):
    list_display = ["pseudonym", "account", "reason", "requested_at", "requested_by", "erased_at"]
    list_filter = [AccountFilter]
    ordering = ["-pk"]
    fields = [
        ("pseudonym", "account"), ("reason", "requested_by"), ("requested_at", "erased_at"),
        "changed_rows", "digest", "failure_text",
    ]  # fmt: skip
    readonly_fields = ["changed_rows"]
    actions_detail = ["download_receipt"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        erasures: QuerySet[Any] = super().get_queryset(request)
        return erasures.select_related("requested_by")

    @admin.display(description=_("changed rows"))
    def changed_rows(self, erasure: Erasure) -> str:
        told = [
            gettext("%(name)s: %(said)s") % {"name": COUNTED.get(name, name), "said": number}
            for name, number in erasure.counts.items()
        ]
        return gettext("; ").join(told) or "–"

    @action(description=_("Download the receipt"), url_path="receipt")
    def download_receipt(self, request: HttpRequest, object_id: str) -> HttpResponse:
        erasure = self.get_object(request, object_id)
        if erasure is None or not self.has_view_permission(request, erasure):
            raise Http404
        record("export", erasure, name=erasure.pseudonym)
        response = JsonResponse(
            receipt(erasure) | {"digest": erasure.digest},
            json_dumps_params={"ensure_ascii": False, "indent": 2},
        )
        response["Content-Disposition"] = f'attachment; filename="{erasure.pseudonym}.json"'
        return response
