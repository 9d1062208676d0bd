from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from events.api.authentication import SCOPES
from events.keyset import KeysetModelAdmin, ReadOnly
from events.kinds import KINDS, label
from events.log import EventLogQuerySet
from events.models import (
    ApiKey,
    EventLog,
    OfficialAccount,
    ReplyRule,
    new_callback_key,
    validate_aes_key,
)
from events.processing import process, reopen
from events.wechat import SecurityMode

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["AccountFilter", "confirmation", "follower_link"]

# Trying again runs inside the request, so it is done in portions.
_TRY_AGAIN_AT_ONCE = 100


def follower_link(openid: str) -> str:
    """The follower as a link to the followers' list, which is another app's."""
    if not openid:
        return "–"
    url = reverse("admin:subscribers_subscriber_changelist")
    return format_html(
        '<a class="text-primary-600 dark:text-primary-500" href="{}?{}">{}</a>',
        url,
        urlencode({"q": openid}),
        openid,
    )


def confirmation(
    request: HttpRequest,
    model_admin: ModelAdmin,
    *,
    title: StrOrPromise,
    sentences: list[StrOrPromise],
    back: str,
) -> HttpResponse:
    """A page that asks before an action is done: its button posts to the action's own address."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "sentences": sentences,
        "back": back,
    }
    return TemplateResponse(request, "admin/confirm.html", context)


# --- Accounts ------------------------------------------------------------------------------------


def _secret_field(text: Any) -> forms.CharField:
    return forms.CharField(
        label=text,
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("Leave empty to keep what is set."),
    )


class OfficialAccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """Secrets go in and never come out."""

    new_token = _secret_field(_("token (令牌)"))
    new_encoding_aes_key = _secret_field(_("EncodingAESKey (消息加解密密钥)"))
    new_app_secret = _secret_field(_("AppSecret"))

    class Meta:
        model = OfficialAccount
        fields = [
            "slug",
            "name",
            "original_id",
            "app_id",
            "security_mode",
            "time_zone",
            "is_active",
        ]

    def clean_new_encoding_aes_key(self) -> str:
        key: str = self.cleaned_data["new_encoding_aes_key"]
        if key:
            validate_aes_key(key)
        return key

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        now = timezone.now()
        if token := cleaned.get("new_token"):
            self.instance.set_token(token, now=now)
        if key := cleaned.get("new_encoding_aes_key"):
            self.instance.set_encoding_aes_key(key, now=now)
        if secret := cleaned.get("new_app_secret"):
            self.instance.app_secret = secret
        encrypted = cleaned.get("security_mode") != SecurityMode.PLAINTEXT
        if encrypted and not self.instance.encoding_aes_key and not self.errors:
            self.add_error(
                "new_encoding_aes_key",
                _("Compatible and safe mode need an AppID and an EncodingAESKey."),
            )
        return cleaned


@admin.register(OfficialAccount)
class OfficialAccountAdmin(ModelAdmin):
    form = OfficialAccountForm
    list_display = ["name", "slug", "original_id", "mode", "is_active"]
    readonly_fields = ["console", "secrets_set", "created_at", "updated_at"]
    actions_detail = ["renew_callback_key"]
    fieldsets = [
        (
            None,
            {"fields": ["name", "slug", "original_id", "app_id", "time_zone", "is_active"]},
        ),
        (
            _("Security"),
            {
                "fields": [
                    "security_mode", "secrets_set",
                    "new_token", "new_encoding_aes_key", "new_app_secret",
                ]
            },
        ),
        (_("What to enter in WeChat's console"), {"fields": ["console"]}),
        (None, {"fields": [("created_at", "updated_at")]}),
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fixed = ["slug"] if obj else []
        return [*fixed, *self.readonly_fields]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return [self.fieldsets[0], self.fieldsets[1]]
        return self.fieldsets

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        # The page shows the whole callback URL, which only the request knows.
        self._site_url = request.build_absolute_uri("/").rstrip("/")
        return super().get_form(request, obj, **kwargs)

    @display(
        description=_("security mode"),
        label={
            OfficialAccount.Mode.SAFE.label: "success",
            OfficialAccount.Mode.COMPATIBLE.label: "info",
            OfficialAccount.Mode.PLAINTEXT.label: "warning",
        },
    )
    def mode(self, account: OfficialAccount) -> str:
        return account.get_security_mode_display()

    @display(description=_("secrets"))
    def secrets_set(self, account: OfficialAccount) -> str:
        rows = [
            (_("token (令牌)"), account.token, account.token_changed_at),
            (
                _("EncodingAESKey (消息加解密密钥)"),
                account.encoding_aes_key,
                account.encoding_aes_key_changed_at,
            ),
            (_("AppSecret"), account.app_secret, None),
        ]
        return format_html_join(
            SafeString("<br>"),
            "{}: {}{}",
            (
                (
                    name,
                    _("set") if value else _("not set"),
                    f" ({timezone.localtime(changed):%Y-%m-%d %H:%M})" if value and changed else "",
                )
                for name, value, changed in rows
            ),
        )

    @display(description=_("server configuration (服务器配置)"))
    def console(self, account: OfficialAccount) -> str:
        return format_html(
            '<dl style="display:grid;gap:.4rem;overflow-wrap:anywhere">'
            "<div><dt>{}</dt><dd><code>{}</code></dd></div>"
            "<div><dt>{}</dt><dd>{}</dd></div>"
            "<div><dt>{}</dt><dd>{}</dd></div>"
            "<div><dt>{}</dt><dd>{}</dd></div>"
            "<div><dt>{}</dt><dd>XML</dd></div></dl>",
            _("URL (服务器地址)"),
            self._site_url + account.callback_path,
            _("Token (令牌)"),
            _("the token that is set here"),
            "EncodingAESKey",
            _("the key that is set here"),
            _("security mode (消息加解密方式)"),
            account.get_security_mode_display(),
            _("data format (数据格式)"),
        )

    @action(description=_("Renew the callback URL"), permissions=["change"])
    def renew_callback_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.get_object(request, object_id)
        page = HttpResponseRedirect(
            reverse("admin:events_officialaccount_change", args=[object_id])
        )
        if account is None:
            return page
        if request.method != "POST":
            return confirmation(
                request,
                self,
                title=_("Renew the callback URL"),
                sentences=[
                    _(
                        "The callback URL will be replaced by a new one, and the present one will "
                        "stop working at once."
                    ),
                    _(
                        "Until the new one is entered in WeChat's console, pushes are lost. Do "
                        "this only if the present one has become known to strangers."
                    ),
                ],
                back=page.url,
            )
        account.callback_key = new_callback_key()
        account.save(update_fields=["callback_key", "updated_at"])
        self.log_change(request, account, "callback URL renewed")
        messages.success(request, _("The callback URL is new. Enter it in WeChat's console now."))
        return page


# --- The log -------------------------------------------------------------------------------------


class KindFilter(admin.SimpleListFilter):
    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (kind, label(kind) if kind in KINDS else str(_("unknown: %s") % kind))
            for kind in EventLog.objects.kinds()
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class StatusFilter(admin.SimpleListFilter):
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return EventLog.Status.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.with_status(self.value()) if self.value() else queryset


class AccountFilter(admin.SimpleListFilter):
    title = _("Official Account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return list(OfficialAccount.objects.values_list("slug", "name"))

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(account__slug=self.value()) if self.value() else queryset


class EventTimeFilter(admin.SimpleListFilter):
    title = _("event time")
    parameter_name = "days"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [("1", _("today")), ("7", _("last 7 days")), ("30", _("last 30 days"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in {"1", "7", "30"}:
            return queryset
        today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        return queryset.filter(
            event_time__gte=today - datetime.timedelta(days=int(self.value() or 1) - 1)
        )


STATUS_COLOURS = {
    EventLog.Status.RECEIVED: "info",
    EventLog.Status.PROCESSED: "success",
    EventLog.Status.FAILED: "warning",
    EventLog.Status.DEAD: "danger",
    EventLog.Status.UNREADABLE: "danger",
    EventLog.Status.SET_ASIDE: "warning",
}


@admin.register(EventLog)
class EventLogAdmin(ReadOnly, KeysetModelAdmin):
    """The log, read-only. What is shown of a row is masked, as a pending binding code is a key."""

    list_display = ["time", "kind_label", "follower", "key", "state", "delivery_count", "account"]
    list_display_links = ["time"]
    list_filter = [AccountFilter, KindFilter, StatusFilter, EventTimeFilter]
    list_select_related = ["account"]
    search_help_text = _(
        "OpenID, QR scene, menu key or URL, or number of the event; the whole value"
    )
    actions = ["try_again"]
    actions_detail = ["try_this_again"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("kind_label", "state"), ("account", "source"), ("time", "received"),
                    "follower", "key", "shown_ticket", "msg_id",
                ]
            },
        ),
        (_("Content"), {"fields": ["shown_payload"]}),
        (_("Answer"), {"fields": ["shown_reply", "shown_error"]}),
        (
            _("Delivery and processing"),
            {
                "fields": [
                    ("delivery_count", "last_delivered_at"), ("folded_at", "processed_at"),
                    ("attempts", "next_attempt_at"), "duration_ms",
                ]
            },
        ),
        (_("As received"), {"fields": ["shown_raw"], "classes": ["collapse"]}),
    ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [
            "kind_label", "state", "time", "received", "follower", "key", "shown_ticket",
            "shown_payload", "shown_reply", "shown_error", "shown_raw",
            *(field.name for field in self.opts.fields),
        ]  # fmt: skip

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("events.change_eventlog")

    def search_exactly(self, queryset: Any, term: str) -> QuerySet[Any]:
        for matching in (
            queryset.with_openid(term),
            queryset.with_scene(term),
            queryset.with_event_key(term),
        ):
            if matching.order_by().exists():
                return matching
        return super().search_exactly(queryset, term)

    @display(description=_("event time"))
    def time(self, event: EventLog) -> str:
        moment = event.event_time.astimezone(event.account.zone)
        return format_html('<span style="white-space:nowrap">{:%Y-%m-%d %H:%M:%S}</span>', moment)

    @display(description=_("received at"))
    def received(self, event: EventLog) -> str:
        return f"{event.received_at.astimezone(event.account.zone):%Y-%m-%d %H:%M:%S}"

    @display(description=_("kind"))
    def kind_label(self, event: EventLog) -> str:
        if event.kind in KINDS:
            return label(event.kind)
        return format_html("{} <small>({})</small>", event.kind, _("unknown"))

    @display(description=_("follower"))
    def follower(self, event: EventLog) -> str:
        return follower_link(event.openid)

    @display(description=_("key or scene"))
    def key(self, event: EventLog) -> str:
        text = event.masked(event.scene or event.event_key)
        if len(text) <= 60:
            return text or "–"
        return format_html('<span title="{}">{}…</span>', text, text[:60])

    @display(
        description=_("status"),
        label={EventLog.Status(status).label: colour for status, colour in STATUS_COLOURS.items()},
    )
    def state(self, event: EventLog) -> str:
        return event.get_status_display()

    @display(description="Ticket")
    def shown_ticket(self, event: EventLog) -> str:
        return event.masked(event.ticket) or "–"

    @display(description=_("fields"))
    def shown_payload(self, event: EventLog) -> str:
        payload = event.payload
        if payload is None:
            return str(_("The body cannot be read."))
        rows = (
            (
                name,
                value
                if isinstance(value, str)
                else format_html(
                    '<pre style="white-space:pre-wrap">{}</pre>',
                    json.dumps(value, ensure_ascii=False, indent=2),
                ),
            )
            for name, value in event.masked_payload(payload).items()
        )
        return format_html(
            '<table style="width:100%">{}</table>',
            format_html_join(
                "",
                '<tr><th style="text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top">{}'
                '</th><td style="overflow-wrap:anywhere;white-space:pre-wrap">{}</td></tr>',
                rows,
            ),
        )

    @display(description=_("body"))
    def shown_raw(self, event: EventLog) -> str:
        return _block(event.masked(bytes(event.raw).decode("utf-8", errors="replace")))

    @display(description=_("reply"))
    def shown_reply(self, event: EventLog) -> str:
        return _block(event.masked(event.reply))

    @display(description=_("error"))
    def shown_error(self, event: EventLog) -> str:
        return _block(event.masked(event.error))

    @action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: EventLogQuerySet) -> None:
        chosen = EventLog.objects.filter(
            pk__in=list(queryset.values_list("pk", flat=True)[:_TRY_AGAIN_AT_ONCE])
        )
        ids = reopen(chosen)
        done = 0
        for event_id in ids:
            event = process(event_id)
            done += event is not None and event.status == EventLog.Status.PROCESSED
        if done:
            messages.success(
                request, ngettext("%s event processed.", "%s events processed.", done) % done
            )
        if failed := len(ids) - done:
            messages.error(
                request,
                ngettext("%s event failed again.", "%s events failed again.", failed) % failed,
            )
        if not ids:
            messages.info(request, _("Only failed events can be tried again."))

    @action(description=_("Try again"), permissions=["retry"])
    def try_this_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        back = reverse("admin:events_eventlog_change", args=[object_id])
        if request.method != "POST":
            return confirmation(
                request,
                self,
                title=_("Try again"),
                sentences=[_("The event is folded if that is missing, and answered anew.")],
                back=back,
            )
        self.try_again(request, EventLog.objects.filter(pk=object_id))
        return HttpResponseRedirect(back)


def _block(text: str) -> str:
    if not text:
        return "–"
    return format_html(
        '<pre style="white-space:pre-wrap;overflow-wrap:anywhere;max-height:24rem;overflow:auto">'
        "{}</pre>",
        text,
    )


# --- Rules and keys ------------------------------------------------------------------------------


@admin.register(ReplyRule)
class ReplyRuleAdmin(ModelAdmin):
    list_display = ["account", "trigger", "shown_key", "content_start", "is_active"]
    list_display_links = ["trigger"]
    list_filter = ["account", "trigger", "is_active"]
    list_select_related = ["account"]
    search_fields = ["key", "content"]

    @display(description=_("key"))
    def shown_key(self, rule: ReplyRule) -> str:
        return rule.key or str(_("(any)"))

    @display(description=_("reply"))
    def content_start(self, rule: ReplyRule) -> str:
        return rule.content if len(rule.content) <= 60 else rule.content[:60] + "…"


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        label=_("scopes"),
        choices=[(scope, scope) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = ApiKey
        fields = ["user", "name", "scopes"]
        widgets = {"name": UnfoldAdminTextInputWidget()}


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    form = ApiKeyForm
    list_display = ["__str__", "user", "shown_scopes", "created_at", "last_used_at", "revoked_at"]
    list_select_related = ["user"]
    autocomplete_fields = ["user"]
    actions = ["revoke"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("events.change_apikey")

    @display(description=_("scopes"))
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        made, key = ApiKey.issue(user=obj.user, scopes=obj.scopes, name=obj.name)
        obj.pk, obj.digest, obj.created_at = made.pk, made.digest, made.created_at
        messages.warning(
            request,
            format_html("{} <code>{}</code>", _("The key, shown this once. Copy it now:"), key),
        )

    @action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        revoked = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        messages.success(
            request, ngettext("%s key revoked.", "%s keys revoked.", revoked) % revoked
        )
