"""Puts all that is known of a person into words for a page: tables, columns and values."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

from allauth.idp.oidc.models import Token
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from events.kinds import label
from events.models import EventLog, OfficialAccount
from subscribers.models import (
    Binding,
    BindingScan,
    CarriedOverState,
    Conversation,
    OutgoingMessage,
    ReceivedMedia,
    Subscriber,
    WebhookMessage,
)

__all__ = ["tables_in_words"]

# The tables by the names that `collect` gives them, in the order of the page.
_TABLES: dict[str, tuple[Any, type[Model]]] = {
    "follower": (_("Follower"), Subscriber),
    "carried_over": (_("State of removed events"), CarriedOverState),
    "events": (_("Events"), EventLog),
    "archived_events": (_("Archived events"), EventLog),
    "messages": (_("Outgoing messages"), OutgoingMessage),
    "conversations": (_("Conversations"), Conversation),
    "files": (_("Files of messages"), ReceivedMedia),
    "webhook_messages": (_("Messages of webhooks"), WebhookMessage),
    "bindings": (_("Bindings"), Binding),
    "binding_scans": (_("Binding scans"), BindingScan),
    "applications": (_("Applications that hold tokens"), Token),
}
# Names for values that are no columns, or whose columns have names for programmers.
_COLUMNS = {
    "what": _("what happened"),
    "payload": _("content"),
    "from_user": _("sender"),
    "first_scene_at": _("first scene at"),
    "last_scene_at": _("last scene at"),
    "notes": _("notes"),
    "told": _("told"),
    "application": _("application"),
    "since": _("since"),
    "until": _("until"),
    "scopes": _("scopes"),
    "type": _("type"),
    "content_type": _("type of the file"),
    "processed_at": _("processed"),
}
# Columns that are left out, because `what` says the same in words.
_SAID_BY_WHAT = frozenset({"kind", "msg_type", "event"})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


def tables_in_words(account: OfficialAccount, said: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables of `collect` that have rows: `name`, `number`, and `rows` of (column, value).

    Names and values are in the reader's language, times by the account's clock.
    """
    return [
        {
            "name": name,
            "number": len(said[table]),
            "rows": [
                [
                    (capfirst(_column(model, column)), _value(model, column, value, account))
                    for column, value in row.items()
                    if value not in (None, "", {}, [])
                    and not ("what" in row and column in _SAID_BY_WHAT)
                ]
                for row in said[table]
            ],
        }
        for table, (name, model) in _TABLES.items()
        if said.get(table)
    ]


def _field(model: type[Model], column: str) -> Field[Any, Any] | None:
    try:
        field = model._meta.get_field(column)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, Field) else None


def _column(model: type[Model], column: str) -> str:
    if column in _COLUMNS:
        return str(_COLUMNS[column])
    field = _field(model, column)
    return str(field.verbose_name) if field else column


def _value(model: type[Model], column: str, value: Any, account: OfficialAccount) -> str:
    if column == "kind":
        return str(label(value))
    field = _field(model, column)
    if field is not None and field.choices:
        return str(dict(field.flatchoices).get(value, value))
    return _text(value, account)


def _text(value: Any, account: OfficialAccount) -> str:
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        at = datetime.datetime.fromisoformat(value).astimezone(account.zone)
        return f"{at:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return "\n".join(" ".join(_text(v, account) for v in part.values()) for part in value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, indent=2)
    return str(value)
