"""The addresses of sign-in: this site's own, and those of django-allauth that it offers."""

from __future__ import annotations

from allauth.account import views as account
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as passkeys
from allauth.usersessions import views as sessions
from django.db import transaction
from django.urls import include, path

from wechat_site.signin import by_wechat

urlpatterns = [
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("wechat/", by_wechat.accounts, name="wechat_sign_in_accounts"),
    path("wechat/go-on", by_wechat.go_on, name="wechat_sign_in_go_on"),
    path("wechat/code.png", by_wechat.picture, name="wechat_sign_in_picture"),
    path("wechat/<slug:slug>/", by_wechat.page, name="wechat_sign_in"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path(
        "password/change/",
        transaction.atomic(account.password_change),
        name="account_change_password",
    ),
    path("password/set/", transaction.atomic(account.password_set), name="account_set_password"),
    # Transactions, because these change several rows: the last factor removes the recovery codes.
    path(
        "2fa/totp/deactivate/",
        transaction.atomic(totp.deactivate_totp),
        name="mfa_deactivate_totp",
    ),
    path("2fa/webauthn/add/", transaction.atomic(passkeys.add_webauthn), name="mfa_add_webauthn"),
    path(
        "2fa/webauthn/keys/<int:pk>/remove/",
        transaction.atomic(passkeys.remove_webauthn),
        name="mfa_remove_webauthn",
    ),
    path("2fa/", include("allauth.mfa.urls")),
    path("sessions/", sessions.list_usersessions, name="usersessions_list"),
]
