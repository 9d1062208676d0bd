"""The roles that `migrate` makes: each has the permissions that its users need, and no more.

An administrator may change them afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction

from events.models import AuditEntry, Role

__all__ = ["ROLES", "RoleDefinition", "make_roles"]


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """A role's name in both languages, and its permissions as `app.codename`."""

    name: str
    permissions: frozenset[str]


def _grants(text: str) -> frozenset[str]:
    """Reads lines such as `view change: events.eventlog` as permissions."""
    granted = set()
    for line in text.strip().splitlines():
        acts, _, models = line.partition(":")
        for model in models.split():
            app, _, name = model.partition(".")
            granted |= {f"{app}.{act}_{name}" for act in acts.split()}
    return frozenset(granted)


_CONTENTS = frozenset({"events.view_message_contents", "events.view_messagetext"})
_OPENIDS = frozenset({"events.view_openids_in_clear"})
_NUMBERS = frozenset({"events.view_statistics"})

_ADMINISTRATOR = _grants("""
view add change delete: events.officialaccount events.replyrule events.menuversion events.mediafile
view add change delete: events.accountlimit events.alertchannel events.alertlimits
view add change delete: subscribers.qrscene subscribers.scenetag auth.user auth.group
view add change delete: subscribers.savedanswer subscribers.segment subscribers.webhookendpoint
view add change delete: subscribers.bindingtext allauth_idp_oidc.client
view add: subscribers.followerexport
view change: subscribers.conversation subscribers.webhookdelivery
publish: events.menu events.rules
view add change: events.apikey subscribers.bindingrequest
view change: events.eventlog events.taskrun subscribers.subscriber subscribers.binding
view change: events.livemenu subscribers.profilefetch
view add change: subscribers.outgoingmessage subscribers.followersync
view: events.ruleversion events.role subscribers.seenscene subscribers.bindingscan
view: admin.logentry
view: subscribers.erasure events.auditentry events.alert events.alertmessage
view: subscribers.wechatday subscribers.followeredit subscribers.tagread subscribers.receivedmedia
""")

ROLES = {
    "administrator": RoleDefinition(
        "管理员 Administrator",
        _ADMINISTRATOR
        | _CONTENTS
        | _OPENIDS
        | _NUMBERS
        | {
            "events.act_for_users",
            "events.use_access_token",
            "events.use_js_ticket",
            "subscribers.export_personal_data",
            "subscribers.erase_personal_data",
        },
    ),
    "operator": RoleDefinition(
        "运营 Operator",
        _OPENIDS
        | _NUMBERS
        | _grants("""
publish: events.menu events.rules
view add change delete: events.replyrule events.menuversion events.mediafile
view add change delete: subscribers.qrscene subscribers.scenetag
view add change delete: subscribers.bindingtext
view: events.officialaccount events.eventlog events.livemenu events.ruleversion
view change: subscribers.subscriber
view: subscribers.followeredit subscribers.tagread
view: subscribers.seenscene subscribers.profilefetch events.alert subscribers.wechatday
view add: subscribers.followersync subscribers.followerexport
view add change delete: subscribers.segment
"""),
    ),
    "agent": RoleDefinition(
        "客服 Agent",
        _CONTENTS
        | _OPENIDS
        | _grants("""
view: events.eventlog events.replyrule
view add: events.mediafile
view change: subscribers.subscriber
view add change: subscribers.outgoingmessage subscribers.savedanswer
view change: subscribers.conversation
view: subscribers.receivedmedia
"""),
    ),
    "analyst": RoleDefinition(
        "分析 Analyst",
        _OPENIDS
        | _NUMBERS
        | _grants("""
view: events.officialaccount events.eventlog events.menuversion subscribers.subscriber
view: subscribers.qrscene subscribers.scenetag subscribers.seenscene subscribers.followersync
view: subscribers.wechatday
view add change delete: subscribers.segment
view add: subscribers.followerexport
view add change: events.apikey
"""),
    ),
    "auditor": RoleDefinition(
        "审计 Auditor",
        _grants("""
view: admin.logentry auth.user auth.group events.apikey events.officialaccount events.eventlog
view: subscribers.subscriber subscribers.outgoingmessage subscribers.binding
view: subscribers.erasure events.auditentry events.alert
"""),
    ),
}


def make_roles(**kwargs: Any) -> None:
    """Makes missing roles, and gives roles the permissions that they were never given before."""
    tables = set(connection.introspection.table_names())
    if not {Role._meta.db_table, AuditEntry._meta.db_table} <= tables:
        return  # migrated back to a version without roles
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    with transaction.atomic():
        for key, definition in ROLES.items():
            role, is_new = Role.objects.get_or_create(key=key)
            if is_new:
                role.group, _ = Group.objects.get_or_create(name=definition.name)
            if role.group is None:
                continue
            new = sorted(definition.permissions & known.keys() - set(role.given))
            if new or is_new:
                role.group.permissions.add(*(known[name] for name in new))
                role.given = [*role.given, *new]
                role.save()
