"""The operators' page of an account, with its secrets and its picture."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldBooleanSwitchWidget,
)

from events.admin.access import AccountModelAdmin
from events.admin.accounts.doctor_page import doctors_page
from events.admin.accounts.kept_secrets import sealed, unsealed
from events.admin.accounts.original_id import offer
from events.admin.accounts.shown_rights import shown_rights
from events.admin.html import confirmation, moment
from events.audit.context import recorded_as
from events.callback.callback_address import callback_path
from events.doctor.account_settings import addressed_to
from events.media.account_picture import inline_picture, prepared, set_picture
from events.media.uploaded_picture import LARGEST, NoPicture
from events.models import ACCOUNT_SECRETS, PendingJudgement
from events.models.account import OfficialAccount, new_callback_key
from events.models.account_rules import checked
from events.wechat import SecurityMode

__all__ = ["OfficialAccountAdmin"]

_SECRETS = ("new_token", "new_encoding_aes_key", "new_app_secret")
# Their help texts on the page of a new account.
_FROM_THE_CONSOLE = {
    "new_token": _(
        "3 to 32 letters and digits that you choose; enter the same in WeChat's console."
    ),
    "new_encoding_aes_key": _(
        "43 letters and digits, which WeChat's console makes; not needed in plaintext mode."
    ),
    "new_app_secret": _(
        "WeChat's console shows it once. Without it the site only receives and replies."
    ),
}


class _SecretField(forms.CharField):
    def __init__(self, setting: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.setting = setting

    def clean(self, value: Any) -> str:
        return checked(self.setting, super().clean(value))


def _secret_field(text: Any, setting: str) -> _SecretField:
    return _SecretField(
        setting,
        label=capfirst(text),
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("Leave empty to keep what is set."),
    )


class OfficialAccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of an account. It takes secrets, but never shows them.

    A refused form keeps the typed secrets, encrypted, for the next attempt.
    """

    new_token = _secret_field(_("token (令牌)"), "token")
    new_encoding_aes_key = _secret_field(_("EncodingAESKey (消息加解密密钥)"), "encoding_aes_key")
    new_app_secret = _secret_field(_("AppSecret"), "app_secret")
    kept_secrets = forms.CharField(required=False, widget=forms.HiddenInput)
    new_picture = forms.FileField(
        label=capfirst(_("profile picture")),
        required=False,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/jpeg,image/png,image/gif"}),
        help_text=_(
            "JPG, PNG or GIF of up to 2 MB and 4096 × 4096 pixels; its middle is shown as a "
            "square, beside the name where users bind their WeChat."
        ),
    )
    removes_picture = forms.BooleanField(
        label=_("Remove the profile picture"), required=False, widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = OfficialAccount
        fields = [
            "slug", "name", "original_id", "app_id", "security_mode", "time_zone", "is_active",
            "late_answers", "hold_text", "ask_before_binding", "js_hosts",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            for name in _SECRETS:
                if name in self.fields:
                    self.fields[name].help_text = _FROM_THE_CONSOLE[name]

    def clean_new_picture(self) -> bytes:
        upload = self.cleaned_data["new_picture"]
        if upload is None:
            return b""
        try:
            # One byte over the limit is enough to refuse a larger file.
            return prepared(upload.read(LARGEST + 1))
        except NoPicture:
            raise forms.ValidationError(
                _("This is no JPG, PNG or GIF of up to 2 MB and 4096 × 4096 pixels.")
            ) from None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        now = timezone.now()
        kept = unsealed(cleaned.get("kept_secrets", ""))
        self._typed = {
            name: cleaned.get(name) or ("" if name in self.errors else kept.get(name, ""))
            for name in _SECRETS
        }
        if token := self._typed["new_token"]:
            self.instance.set_token(token, now=now)
        if key := self._typed["new_encoding_aes_key"]:
            self.instance.set_encoding_aes_key(key, now=now)
        if secret := self._typed["new_app_secret"]:
            self.instance.app_secret = secret
        # The database has the same constraint, but its error would not belong to a field.
        encrypted = cleaned.get("security_mode") not in {None, SecurityMode.PLAINTEXT.value}
        missing = encrypted and not self.instance.encoding_aes_key
        if missing and "new_encoding_aes_key" not in self.errors:
            self.add_error(
                "new_encoding_aes_key",
                _("Compatible and safe mode need an AppID and an EncodingAESKey."),
            )
        return cleaned

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and self.errors:
            self._keep_secrets()

    def _keep_secrets(self) -> None:
        kept = {name: value for name, value in getattr(self, "_typed", {}).items() if value}
        data: Any = self.data.copy()  # type: ignore[attr-defined]
        data[self.add_prefix("kept_secrets")] = sealed(kept)
        self.data = data
        for name in kept:
            self.fields[name].widget.attrs["placeholder"] = _("kept from your last attempt")


class _WithoutSecrets(ChangeList):
    """The list, which shows no secret and so decrypts none."""

    def get_queryset(self, *args: Any, **kwargs: Any) -> Any:
        return super().get_queryset(*args, **kwargs).defer(*ACCOUNT_SECRETS)


@admin.register(OfficialAccount)
class OfficialAccountAdmin(AccountModelAdmin):
    account_path = "pk"
    form = OfficialAccountForm
    list_display = ["name", "slug", "original_id", "mode", "is_active"]
    readonly_fields = [
        "offered_original_id", "shown_picture", "plaintext_warning", "console", "secrets_set",
        "shown_rights", "created_at", "updated_at",
    ]  # fmt: skip
    actions_detail = ["see_doctor", "renew_callback_key"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _WithoutSecrets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*(["slug"] if obj else []), *self.readonly_fields]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        security = ["security_mode", "secrets_set"]
        if obj is None:
            security.remove("secrets_set")
        elif obj.security_mode == SecurityMode.PLAINTEXT.value:
            security.insert(1, "plaintext_warning")
        if self.has_change_permission(request, obj):
            security += [*_SECRETS, "kept_secrets"]
        names = ["name", "slug", "original_id", "app_id", "time_zone", "is_active"]
        if obj is not None and self.has_change_permission(request, obj) and addressed_to(obj):
            names.insert(3, "offered_original_id")
        binding = ["ask_before_binding"]
        if obj is not None and obj.picture:
            binding.append("shown_picture")
        if self.has_change_permission(request, obj):
            binding.append("new_picture")
            if obj is not None and obj.picture:
                binding.append("removes_picture")
        fieldsets: list[Any] = [
            (None, {"fields": names}),
            (_("Security"), {"fields": security}),
            (_("Late answers"), {"fields": ["late_answers", "hold_text"]}),
            (_("Binding"), {"fields": binding}),
            (_("Pages in WeChat's browser"), {"fields": ["js_hosts"]}),
        ]
        if obj is not None:
            fieldsets += [
                (_("What to enter in WeChat's console"), {"fields": ["console"]}),
                (_("What WeChat lets this account call"), {"fields": ["shown_rights"]}),
                (None, {"fields": [("created_at", "updated_at")]}),
            ]
        return fieldsets

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if jpeg := form.cleaned_data.get("new_picture"):
            set_picture(obj, jpeg)
        elif form.cleaned_data.get("removes_picture"):
            set_picture(obj, b"")
        super().save_model(request, obj, form, change)

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        account = super().get_object(request, object_id, from_field)
        if account is not None:
            # The page shows the whole URL, and only the request knows this site's host.
            account.callback_url = request.build_absolute_uri(callback_path(account))
        return account

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # Django would list all rows that prevent the deletion, perhaps millions of events.
        kept = [_("the events of %s") % account for account in objs if account.events.exists()]
        return ([], {}, set(), kept) if kept else super().get_deleted_objects(objs, request)

    def get_urls(self) -> list[Any]:
        adopt = require_POST(self.admin_site.admin_view(self.adopt_original_id))
        doctor = self.admin_site.admin_view(partial(doctors_page, self))
        return [
            path("<path:object_id>/original-id/", adopt, name="events_officialaccount_original_id"),
            path("<path:object_id>/doctor/", doctor, name="events_officialaccount_doctor"),
            *super().get_urls(),
        ]

    def adopt_original_id(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Takes the original ID from quarantined pushes; the worker then judges them again."""
        account = self.get_object(request, object_id)
        if account is None:
            raise Http404
        if not self.has_change_permission(request, account):
            raise PermissionDenied
        told = request.POST.get("told", "")
        if told in addressed_to(account):
            account.original_id = told
            with transaction.atomic(), recorded_as("adopt_original_id"):
                account.save(update_fields=["original_id", "updated_at"])
                PendingJudgement.request(account.pk)
            messages.success(
                request, _("The original ID is set. The quarantined pushes are processed.")
            )
        return HttpResponseRedirect(
            reverse("admin:events_officialaccount_change", args=[object_id])
        )

    @display(description=_("profile picture"))
    def shown_picture(self, account: OfficialAccount) -> str:
        return render_to_string(
            "admin/events/officialaccount/picture.html", {"picture": inline_picture(account)}
        )

    @display(description=_("named by pushes"))
    def offered_original_id(self, account: OfficialAccount) -> str:
        return offer(account)

    @display(
        description=_("security mode"),
        label={
            SecurityMode.SAFE.value: "success",
            SecurityMode.COMPATIBLE.value: "info",
            SecurityMode.PLAINTEXT.value: "warning",
        },
    )
    def mode(self, account: OfficialAccount) -> tuple[str, str]:
        return account.security_mode, account.get_security_mode_display()

    @display(description=_("Warning"))
    def plaintext_warning(self, account: OfficialAccount) -> str:
        return render_to_string("admin/events/officialaccount/plaintext_warning.html")

    @display(description=_("secrets"))
    def secrets_set(self, account: OfficialAccount) -> str:
        secrets = [
            (_("token (令牌)"), account.token, account.token_changed_at),
            (
                _("EncodingAESKey (消息加解密密钥)"),
                account.encoding_aes_key,
                account.encoding_aes_key_changed_at,
            ),
            (_("AppSecret"), account.app_secret, None),
        ]
        rows = [
            (name, bool(value), changed_at and moment(changed_at, account))
            for name, value, changed_at in secrets
        ]
        return render_to_string("admin/events/officialaccount/secrets.html", {"secrets": rows})

    @display(description=_("settings"))
    def console(self, account: Any) -> str:
        return render_to_string(
            "admin/events/officialaccount/console.html",
            {"account": account, "callback_url": account.callback_url},
        )

    @display(description=_("rights"))
    def shown_rights(self, account: OfficialAccount) -> str:
        return render_to_string("admin/events/officialaccount/rights.html", shown_rights(account))

    @action(description=_("Examine"), permissions=["change"])
    def see_doctor(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(
            reverse("admin:events_officialaccount_doctor", args=[object_id])
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
                    _("A new callback URL replaces the present one, which stops working at once."),
                    _(
                        "Pushes are lost until you enter the new URL in WeChat's console. Do this "
                        "only if strangers have learnt the present one."
                    ),
                ],
                back=page.url,
            )
        account.callback_key = new_callback_key()
        with transaction.atomic(), recorded_as("renew_callback_key"):
            account.save(update_fields=["callback_key", "updated_at"])
        messages.success(request, _("The callback URL is new. Enter it in WeChat's console now."))
        return page
