"""How the admin looks, and its sidebar."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from wechat_site.settings.application import EXTRA_APPS


def _static(name: str) -> str:
    from django.templatetags.static import static

    return static(f"wechat_site/{name}")


def _admin_link(title: Any, icon: str, app: str, model: str) -> dict[str, Any]:
    """A line of the sidebar, for users who may see the page behind it."""

    def may_see(request: HttpRequest) -> bool:
        from django.apps import apps
        from django.contrib import admin

        page = admin.site.get_model_admin(apps.get_model(app, model))
        return bool(page.has_view_permission(request))

    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": may_see,
    }


UNFOLD = {
    "SITE_TITLE": _("WeChat Official Accounts"),
    "SITE_HEADER": _("WeChat Official Accounts"),
    "SITE_SUBHEADER": _("Events, followers, bindings"),
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: _static("icon.svg")}
    ],
    "STYLES": [lambda request: _static("admin.css")],
    "SCRIPTS": [
        lambda request: _static("reach.js"),
        lambda request: _static("media.js"),
        lambda request: _static("once.js"),
    ],
    "SITE_URL": None,
    "SHOW_LANGUAGES": True,
    "SHOW_VIEW_ON_SITE": False,
    "ACCOUNT": {
        "navigation": [
            {"title": _("Second factor"), "link": reverse_lazy("mfa_index")},
            {"title": _("Sessions"), "link": reverse_lazy("usersessions_list")},
            {"title": _("Change password"), "link": reverse_lazy("account_change_password")},
        ]
    },
    "DASHBOARD_CALLBACK": "wechat_site.admin.dashboard.dashboard",
    "COLORS": {
        "primary": {
            "50": "oklch(97% .02 155)",
            "100": "oklch(94% .05 155)",
            "200": "oklch(89% .09 155)",
            "300": "oklch(82% .14 155)",
            "400": "oklch(73% .17 154)",
            "500": "oklch(65% .18 153)",
            "600": "oklch(54% .15 154)",
            "700": "oklch(46% .12 155)",
            "800": "oklch(39% .10 156)",
            "900": "oklch(34% .08 157)",
            "950": "oklch(24% .06 157)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        # The list below names only this site's own pages; pages of EXTRA_APPS need the full list.
        "show_all_applications": bool(EXTRA_APPS),
        "navigation": [
            {
                "items": [
                    _admin_link(_("Inbox"), "inbox", "subscribers", "conversation"),
                    {
                        "title": _("Dashboard"),
                        "icon": "monitoring",
                        "link": reverse_lazy("admin:index"),
                    },
                ],
            },
            {
                "title": _("Receiving"),
                "separator": True,
                "items": [
                    _admin_link(_("Events"), "receipt_long", "events", "eventlog"),
                    _admin_link(_("Search messages"), "search", "events", "messagetext"),
                    _admin_link(_("Reply rules"), "quickreply", "events", "replyrule"),
                    _admin_link(_("Media library"), "perm_media", "events", "mediafile"),
                    _admin_link(_("Menus"), "menu_book", "events", "menuversion"),
                    _admin_link(_("Official Accounts"), "verified", "events", "officialaccount"),
                ],
            },
            {
                "title": _("Followers"),
                "separator": True,
                "items": [
                    _admin_link(_("Followers"), "group", "subscribers", "subscriber"),
                    _admin_link(_("Segments"), "filter_alt", "subscribers", "segment"),
                    _admin_link(_("Follower exports"), "download", "subscribers", "followerexport"),
                    _admin_link(_("Saved answers"), "bookmark", "subscribers", "savedanswer"),
                    _admin_link(
                        _("Outgoing messages"), "outgoing_mail", "subscribers", "outgoingmessage"
                    ),
                    _admin_link(_("Follower syncs"), "sync", "subscribers", "followersync"),
                    _admin_link(
                        _("WeChat's daily figures"), "compare_arrows", "subscribers", "wechatday"
                    ),
                    _admin_link(
                        _("Profile fetches"), "contact_page", "subscribers", "profilefetch"
                    ),
                    _admin_link(_("QR codes"), "qr_code_2", "subscribers", "qrscene"),
                    _admin_link(_("Bindings"), "link", "subscribers", "binding"),
                    _admin_link(_("Binding requests"), "add_link", "subscribers", "bindingrequest"),
                    _admin_link(_("Binding texts"), "edit_note", "subscribers", "bindingtext"),
                    _admin_link(
                        _("Binding scans"), "qr_code_scanner", "subscribers", "bindingscan"
                    ),
                ],
            },
            {
                "title": _("Access"),
                "separator": True,
                "items": [
                    _admin_link(_("Users"), "person", "auth", "user"),
                    _admin_link(_("Groups"), "groups", "auth", "group"),
                    _admin_link(_("API keys"), "key", "events", "apikey"),
                    _admin_link(_("Applications"), "apps", "allauth_idp_oidc", "client"),
                    _admin_link(_("Webhooks"), "webhook", "subscribers", "webhookendpoint"),
                    _admin_link(
                        _("Webhook deliveries"), "outbound", "subscribers", "webhookdelivery"
                    ),
                    _admin_link(_("Audit list"), "policy", "events", "auditentry"),
                    _admin_link(_("Erasures"), "person_off", "subscribers", "erasure"),
                ],
            },
            {
                "title": _("Operation"),
                "separator": True,
                "items": [
                    _admin_link(_("Background jobs"), "manufacturing", "events", "taskrun"),
                    _admin_link(_("Alerts"), "notification_important", "events", "alert"),
                    _admin_link(_("Alert channels"), "campaign", "events", "alertchannel"),
                    _admin_link(_("Limits of alerts"), "tune", "events", "alertlimits"),
                    _admin_link(_("Alert messages"), "outgoing_mail", "events", "alertmessage"),
                ],
            },
        ],
    },
}
