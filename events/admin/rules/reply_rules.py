"""The operators' pages for reply rules: the ordered list, the editor, publishing."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.db.models import Max
from django.forms import Script
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from events.admin.access import chosen_account, visible_accounts
from events.admin.html import confirmation
from events.admin.put_back import WithEarlierStates
from events.admin.rules.form import RuleForm
from events.admin.rules.state import RulesPage, names_of, page_of_rules
from events.admin.rules.take_over_page import TakeOverPage
from events.admin.rules.trying import TryingPages, unmatched_of
from events.answering.publish_rules import (
    NotPossible,
    discard,
    publish,
    put_in_order,
    seen_with,
)
from events.answering.rule_words import Names
from events.audit.record import record
from events.models import OfficialAccount, ReplyRule, RuleVersion
from events.numbers import number_in, numbers_in
from events.platform.hindrances import hindrance
from events.rules.data import Answer, AnswerKind, How, MessageKind, On, Rule, Trigger
from events.wechat.api.custom_messages import SEND_PATH

__all__ = ["ReplyRuleAdmin"]

_LONGEST_WORD = 100


@admin.register(ReplyRule)
class ReplyRuleAdmin(TakeOverPage, TryingPages, WithEarlierStates):
    """The draft of each account. Only the published rules answer followers."""

    form = RuleForm
    columns_of_lists = ("position",)
    change_form_template = "admin/events/replyrule/change_form.html"
    add_form_template = change_form_template
    warn_unsaved_form = True

    class Media:
        css = {"all": ["events/menu.css", "events/rules.css"]}
        js = [Script("events/rules.js", type="module")]

    # --- The list ------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path(
                "order/<int:account_id>/",
                require_POST(view(self.order)),
                name="events_replyrule_order",
            ),
            path("publish/<int:account_id>/", view(self.publish), name="events_replyrule_publish"),
            path("discard/<int:account_id>/", view(self.discard), name="events_replyrule_discard"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Shows the account's rules in their order; Django handles acts on several rows."""
        if request.method != "GET":
            return super().changelist_view(request, extra_context)
        if not self.has_view_permission(request):
            return super().changelist_view(request, extra_context)
        if set(request.GET) - {"account"}:
            raise SuspiciousOperation("The list of rules takes no other filter.")
        return self._listing(request, extra_context)

    def _listing(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        accounts = list(visible_accounts(request))
        account = chosen_account(request)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": capfirst(self.opts.verbose_name_plural),
            "media": self.media,
            "accounts": accounts,
            "page": RulesPage.of(account) if account else None,
            "may_add": self.has_add_permission(request),
            "may_change": self.has_change_permission(request),
            "may_publish": self.has_publish_permission(request),
            "unmatched": unmatched_of(account) if account else None,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/events/replyrule/list.html", context)

    def order(self, request: HttpRequest, account_id: int) -> HttpResponse:
        """Orders the rules by the form's `id`s; `move` moves one rule a place up or down."""
        account = self._account(request, account_id)
        if not self.has_change_permission(request):
            raise Http404
        ids = numbers_in(request.POST.getlist("id"))
        written, _colon, by = request.POST.get("move", "").partition(":")
        moved = number_in(written)
        if moved in ids and by in {"-1", "1"}:
            place = ids.index(moved)
            ids.insert(max(0, place + int(by)), ids.pop(place))
        put_in_order(account.pk, ids)
        here = f"#rule-{moved}" if moved is not None else ""
        return HttpResponseRedirect(page_of_rules(account) + here)

    # --- Publishing ----------------------------------------------------------------------------

    def has_publish_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("events.publish_rules")

    def publish(self, request: HttpRequest, account_id: int) -> HttpResponse:
        """Shows what publishing changes; a POST publishes."""
        account = self._account(request, account_id)
        if not self.has_publish_permission(request):
            raise Http404
        if request.method == "POST":
            try:
                with transaction.atomic():
                    version = publish(
                        account.pk,
                        user=request.user,
                        note=request.POST.get("note", "")[:200],
                        seen=request.POST.get("seen", "-"),
                    )
                    record("publish_rules", version, name=str(version))
            except NotPossible as reason:
                messages.error(request, str(reason))
            else:
                messages.success(request, _("Version %s answers followers from now on.") % version)
                return HttpResponseRedirect(page_of_rules(account))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Publish"),
            "media": self.media,
            "page": RulesPage.of(account),
            "seen": seen_with(account.pk),
            "back": page_of_rules(account),
        }
        return TemplateResponse(request, "admin/events/replyrule/publish.html", context)

    def discard(self, request: HttpRequest, account_id: int) -> HttpResponse:
        """Asks first; a POST replaces the draft by the live rules."""
        account = self._account(request, account_id)
        if not self.has_change_permission(request):
            raise Http404
        if request.method != "POST":
            return confirmation(
                request,
                self,
                title=_("Discard the draft"),
                sentences=[
                    *RulesPage.of(account).changes,
                    _("All this is undone: the rules become what answers followers now."),
                ],
                back=page_of_rules(account),
            )
        with transaction.atomic():
            discard(account.pk)
            record("discard_rules", RuleVersion, account=account)
        messages.success(request, _("The rules are again what answers followers now."))
        return HttpResponseRedirect(page_of_rules(account))

    def _account(self, request: HttpRequest, account_id: int) -> OfficialAccount:
        return get_object_or_404(visible_accounts(request), pk=account_id)

    # --- The editor ----------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"fields": []})]

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        kwargs["fields"] = ["account", "name", "is_active", "choice"]
        form: Any = super().get_form(request, obj, **kwargs)
        account_id = obj.account_id if obj else None
        if account_id is None:
            posted = number_in(request.POST.get("account"))
            account = (
                chosen_account(request)
                if posted is None
                else visible_accounts(request).filter(pk=posted).first()
            )
            account_id = account.pk if account else None
        names = names_of(account_id) if account_id else Names({}, {})

        class ForAccount(form):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, names=names, account_id=account_id, **options)

        return ForAccount

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        may = self.has_add_permission(request) and self.has_view_permission(request)
        if request.method == "GET" and may:
            accounts = list(visible_accounts(request))
            if chosen_account(request) is None and accounts:
                # The choices of the form depend on the account, so let the user choose it first.
                return self._listing(request)
        return super().add_view(request, form_url, extra_context)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Returns the account, and a rule with the trigger that the address describes."""
        account = chosen_account(request)
        if account is None:
            return {}
        initial: dict[str, Any] = {"account": account.pk, "is_active": True}
        text = request.GET.get("text", "")[:_LONGEST_WORD]
        key = request.GET.get("key", "")
        if text:
            trigger = Trigger(On.MESSAGE, kind=MessageKind.TEXT, how=How.EQUAL, words=(text,))
        elif key:
            trigger = Trigger(On.MENU, keys=(key,))
        elif request.GET.get("scene"):
            trigger = Trigger(On.FOLLOW, keys=(request.GET["scene"],))
        else:
            return initial
        return {**initial, "rule": Rule(0, "", trigger, answers=(Answer(AnswerKind.TEXT),))}

    def render_change_form(
        self, request: HttpRequest, context: Any, add: bool = False, change: bool = False,
        form_url: str = "", obj: Any = None,
    ) -> HttpResponse:  # fmt: skip
        may = self.has_change_permission(request, obj) if obj else True
        account = obj.account if obj else chosen_account(request)
        return super().render_change_form(
            request,
            {
                **context,
                "show_save_and_continue": False,
                "show_save_and_add_another": False,
                "editor": context["adminform"].form if may else None,
                "shown": RulesPage.of(obj.account).row_of(obj) if obj else None,
                "account": account,
                "hindered": hindrance(account.pk, SEND_PATH) if account else None,
                "back": page_of_rules(account) if account else "",
            },
            add,
            change,
            form_url,
            obj,
        )

    def save_model(self, request: HttpRequest, obj: ReplyRule, form: Any, change: bool) -> None:
        if not change:
            rules = ReplyRule.objects.filter(account=obj.account_id)
            obj.position = (rules.aggregate(last=Max("position"))["last"] or 0) + 1
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        return self._saved(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        return self._saved(request, obj)

    def _saved(self, request: HttpRequest, rule: ReplyRule) -> HttpResponse:
        messages.success(
            request, _("“%s” is saved. Followers are answered by it once it is published.") % rule
        )
        return HttpResponseRedirect(f"{page_of_rules(rule.account)}#rule-{rule.pk}")

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> Any:
        messages.success(
            request, _("“%s” is deleted. It answers followers until you publish.") % obj_display
        )
        return HttpResponseRedirect("../..")
