"""The pages of the sign-in's package, with the look and the guards of the rest."""

from __future__ import annotations

from allauth.account.admin import EmailAddressAdmin as TheirEmailAddressAdmin
from allauth.account.models import EmailAddress
from allauth.mfa.admin import AuthenticatorAdmin as TheirAuthenticatorAdmin
from allauth.mfa.models import Authenticator
from allauth.usersessions.admin import UserSessionAdmin as TheirUserSessionAdmin
from allauth.usersessions.models import UserSession
from django.contrib import admin

from events.admin.base import ModelAdmin

admin.site.unregister([EmailAddress, Authenticator, UserSession])


@admin.register(EmailAddress)
class EmailAddressAdmin(TheirEmailAddressAdmin, ModelAdmin):
    pass


@admin.register(Authenticator)
class AuthenticatorAdmin(TheirAuthenticatorAdmin, ModelAdmin):
    pass


@admin.register(UserSession)
class UserSessionAdmin(TheirUserSessionAdmin, ModelAdmin):
    pass
