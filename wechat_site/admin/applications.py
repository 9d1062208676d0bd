"""The page of applications whose users sign in through this site (OpenID Connect)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Client, Token
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.hashers import make_password
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from events.admin.access import OfAllAccounts
from events.admin.base import ModelAdmin
from events.admin.html import confirmation, new_secret
from events.audit.context import recorded_as
from events.models import ACCOUNT_SECRETS, OfficialAccount
from wechat_site.openid.claims import SCOPE, accounts_of, limit_to

__all__ = ["ApplicationAdmin"]

admin.site.unregister([Client, Token])

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class ApplicationForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        label=_("may learn"),
        initial=["openid", "profile", SCOPE],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    accounts: Any = forms.ModelMultipleChoiceField(
        label=capfirst(_("Official Accounts")),
        queryset=OfficialAccount.objects.defer(*ACCOUNT_SECRETS),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Whose followers the application learns of; none chosen: all."),
    )

    class Meta:
        model = Client
        fields = ["name", "type", "redirect_uris", "skip_consent"]
        labels = {
            "name": _("name"),
            "type": _("type"),
            "redirect_uris": _("redirect URIs"),
            "skip_consent": _("do not ask the user"),
        }
        help_texts = {
            "type": _("Public: it can keep no secret, such as an app on a phone."),
            "redirect_uris": _("Where users come back, one address a line, exactly as it asks."),
            "skip_consent": _("For applications of your own company."),
        }
        widgets = {
            "name": UnfoldAdminTextInputWidget(),
            "type": UnfoldAdminSelectWidget(),
            "redirect_uris": UnfoldAdminTextareaWidget(),
            "skip_consent": UnfoldBooleanSwitchWidget(),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["type"].choices = [  # type: ignore[attr-defined]
            (Client.Type.CONFIDENTIAL, _("confidential")),
            (Client.Type.PUBLIC, _("public")),
        ]
        self.fields["redirect_uris"].required = True
        self.fields["scopes"].choices = [  # type: ignore[attr-defined]
            (name, f"{name}: {title}") for name, title in get_adapter().scope_display.items()
        ]
        for field in self.fields.values():
            field.label = capfirst(field.label)
        if not self.instance._state.adding:
            self.initial["scopes"] = self.instance.get_scopes()
            chosen = OfficialAccount.objects.filter(pk__in=accounts_of(self.instance) or [])
            self.initial["accounts"] = [*chosen.values_list("pk", flat=True)]

    def clean_scopes(self) -> str:
        return "\n".join(dict.fromkeys(["openid", *self.cleaned_data["scopes"]]))

    def clean_redirect_uris(self) -> str:
        uris = self.cleaned_data["redirect_uris"].split()
        for uri in uris:
            _validate_redirect_uri(uri)
        return "\n".join(uris)


def _validate_redirect_uri(uri: str) -> None:
    """Raises ValidationError unless the URI uses TLS, this machine, or an app's own scheme.

    An app's scheme is like org.example.app.
    """
    try:
        parts = urlsplit(uri)
        is_loopback = parts.hostname in _LOOPBACK
    except ValueError:
        parts, is_loopback = urlsplit(""), False
    is_app = "." in parts.scheme
    is_web = parts.scheme == "https" or (parts.scheme == "http" and is_loopback)
    if not (is_app or (is_web and parts.hostname)) or parts.fragment or "*" in uri:
        raise forms.ValidationError(
            _("%s must be a whole https:// address, without * and #.") % uri
        )


@admin.register(Client)
class ApplicationAdmin(OfAllAccounts, ModelAdmin):
    """Makes, changes and removes applications. A removed application loses access at once.

    An application may learn of followers of all accounts, so users who may see only some accounts
    see none of these pages. The page shows a secret once, after making it.
    """

    form = ApplicationForm
    list_display = ["shown_name", "id", "shown_type", "shown_scopes", "asks_nobody", "made_at"]
    search_fields = ["name", "id"]
    actions_detail = ["rotate_secret"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        clients: QuerySet[Client] = super().get_queryset(request)
        return clients.defer("secret")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        fields = ["name", "type", "redirect_uris", "scopes", "accounts", "skip_consent"]
        if obj is None:
            return fields
        if not self.has_change_permission(request, obj):
            fields = ["shown_name", "shown_type", "redirect_uris", "shown_scopes", "asks_nobody"]
        return ["id", *fields, "made_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["id", "shown_name", "shown_type", "shown_scopes", "asks_nobody", "made_at"]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method == "GET" and not settings.OPENID_CONNECT:
            messages.warning(
                request, _("OpenID Connect is off: no application can sign anybody in here.")
            )
        return super().changelist_view(request, extra_context)

    @display(description=_("name"), ordering="name")
    def shown_name(self, client: Client) -> str:
        return str(client.name)

    @display(description=_("do not ask the user"), boolean=True)
    def asks_nobody(self, client: Client) -> bool:
        return bool(client.skip_consent)

    @display(description=_("created"), ordering="created_at")
    def made_at(self, client: Client) -> str:
        return f"{timezone.localtime(client.created_at):%Y-%m-%d %H:%M}"

    @display(description=_("type"))
    def shown_type(self, client: Client) -> str:
        is_public = client.type == Client.Type.PUBLIC
        return str(_("public") if is_public else _("confidential"))

    @display(description=_("may learn"))
    def shown_scopes(self, client: Client) -> str:
        return ", ".join(client.get_scopes())

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: bool) -> None:
        obj.scopes = form.cleaned_data["scopes"]
        # The form does not show chosen accounts that were deleted. If it stored the rest, a limit
        # whose last account is gone would become none.
        if "accounts" in form.changed_data:
            limit_to(obj, sorted(account.pk for account in form.cleaned_data["accounts"]))
        if change:
            super().save_model(request, obj, form, change)
            return
        obj.set_grant_types(["authorization_code", "refresh_token"])
        secret = _give_secret(obj)
        super().save_model(request, obj, form, change)
        if obj.type == Client.Type.CONFIDENTIAL:
            messages.warning(request, new_secret(secret))

    @action(description=_("Change the secret"), permissions=["change"])
    def rotate_secret(self, request: HttpRequest, object_id: str) -> HttpResponse:
        client = self.get_object(request, object_id)
        page = reverse("admin:allauth_idp_oidc_client_change", args=[object_id])
        if client is None:
            return HttpResponseRedirect(page)
        if request.method != "POST":
            sentence = _("%s gets a new secret, and the former one is worth nothing at once.")
            return confirmation(
                request,
                self,
                title=_("Change the secret"),
                sentences=[sentence % client.name],
                back=page,
            )
        secret = _give_secret(client)
        with recorded_as("rotate_secret"):
            client.save(update_fields=["secret"])
        messages.warning(request, new_secret(secret))
        return HttpResponseRedirect(page)


def _give_secret(client: Client) -> str:
    secret: str = get_adapter().generate_client_secret()
    client.secret = make_password(secret, hasher="random_sha256")
    return secret
