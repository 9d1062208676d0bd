"""The pages of published versions of rules: what each changed, and publishing one again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display

from events.admin.changelist import KeysetModelAdmin, ReadOnly
from events.admin.html import done_by
from events.admin.list_filters import AccountFilter
from events.admin.rules.state import names_of, page_of_rules
from events.answering.publish_rules import NotPossible, draft_of, take_back
from events.answering.rule_words import changes
from events.models import RuleVersion

__all__ = ["RuleVersionAdmin"]


@admin.register(RuleVersion)
class RuleVersionAdmin(ReadOnly, KeysetModelAdmin):
    list_display = ["number", "badge", "note", "account", "published"]
    list_display_links = ["number"]
    list_filter = [AccountFilter]
    search_help_text = _("number of the version")
    change_form_template = "admin/events/ruleversion/change_form.html"
    actions_detail = ["take_version_back"]
    fields = ["account", "status", "published", "note"]
    readonly_fields = fields

    class Media:
        css = {"all": ["events/menu.css", "events/rules.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        versions: QuerySet[Any] = super().get_queryset(request)
        return versions.select_related("published_by")

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("events.publish_rules")

    @display(description=_("version"))
    def number(self, version: RuleVersion) -> str:
        return str(version)

    @display(description=_("status"), label={"live": "success", "past": "info"})
    def badge(self, version: RuleVersion) -> tuple[str, str]:
        if version.is_live:
            return "live", str(_("answers followers now"))
        return "past", str(_("published earlier"))

    @display(description=_("status"))
    def status(self, version: RuleVersion) -> str:
        return self.badge(version)[1]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        """Hides the actions of the live version. If one is called anyway, it says why not."""
        version = self.get_object(request, str(object_id))
        actions: list[UnfoldAction] = super().get_actions_detail(request, object_id)
        return [] if version is None or version.is_live else actions

    @display(description=_("published"))
    def published(self, version: RuleVersion) -> str:
        return done_by(version.published_at, version.published_by, version.account)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> Any:
        version = context["original"]
        before = (
            RuleVersion.objects.filter(account=version.account_id, pk__lt=version.pk)
            .order_by("-pk")
            .first()
        )
        names = names_of(version.account_id)
        extra = {
            "changed": changes(before.content if before else (), version.content, names),
            "before": before,
            "described": changes((), version.content, names),
        }
        return super().render_change_form(request, {**context, **extra}, *args, **kwargs)

    @action(description=_("Publish again"), permissions=["publish"], icon="undo")
    def take_version_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Shows what would change; a POST publishes the version again."""
        version = self.get_object(request, str(object_id))
        if version is None:
            raise Http404
        here = reverse("admin:events_ruleversion_change", args=[version.pk])
        if request.method == "POST":
            try:
                with transaction.atomic():
                    again = take_back(version, user=request.user)
                    self.log_change(request, again, "take_back")
            except NotPossible as reason:
                messages.error(request, str(reason))
                return HttpResponseRedirect(here)
            messages.success(request, _("Version %s answers followers from now on.") % again)
            return HttpResponseRedirect(page_of_rules(version.account))
        live = RuleVersion.objects.filter(account=version.account_id, is_live=True).first()
        names = names_of(version.account_id)
        former = live.content if live else ()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Publish again"),
            "version": version,
            "changed": changes(former, version.content, names),
            "loses_draft": list(former) != draft_of(version.account_id),
            "back": here,
        }
        return TemplateResponse(request, "admin/events/ruleversion/take_back.html", context)
