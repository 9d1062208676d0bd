"""The tables of rights: the accounts to which a user is limited, and the site's roles."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["AccountLimit", "Role"]


class AccountLimit(models.Model):
    """The accounts that a user may see. A user without a row sees all; an empty row shows none."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="account_limit"
    )
    accounts = models.ManyToManyField(
        OfficialAccount, blank=True, related_name="+", verbose_name=_("Official Accounts")
    )

    class Meta:
        verbose_name = _("limit to Official Accounts")
        verbose_name_plural = _("limit to Official Accounts")
        permissions = [
            ("view_message_contents", _("Can see message contents")),
            ("view_openids_in_clear", _("Can see OpenIDs in clear")),
            ("view_statistics", _("Can see statistics")),
            ("use_access_token", _("Can let an API key use access tokens")),
            ("use_js_ticket", _("Can let an API key use JS-SDK tickets")),
            ("act_for_users", _("Can let an API key act for other users")),
        ]

    def __str__(self) -> str:
        return str(self.user)


class Role(models.Model):
    """A group that `migrate` made, and the permissions that `migrate` gave it.

    `migrate` gives a permission once, so what an administrator takes out stays out. It does not
    make a deleted group again.
    """

    key = models.CharField(max_length=20, unique=True)
    group = models.OneToOneField(
        Group, on_delete=models.SET_NULL, null=True, related_name="made_as"
    )
    given = models.JSONField(default=list)

    class Meta:
        verbose_name = _("role")
        verbose_name_plural = _("roles")

    def __str__(self) -> str:
        return self.key
