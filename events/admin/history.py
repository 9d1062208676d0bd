"""Describes the acts on a row, for its history page and for the audit list."""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps
from django.contrib.admin import ModelAdmin
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from events.answering.rule_words import (
    Names,
    answers_in_words,
    conditions_in_words,
    trigger_in_words,
)
from events.audit.acts import act_in_words
from events.models import AuditEntry, ReplyRule
from events.rules.data import rule_from_json
from events.viewer import may_look_at

__all__ = [
    "changes_table",
    "differences",
    "field_in_words",
    "history",
    "kind_in_words",
    "model_of",
    "page_of_object",
    "states",
    "who",
]

_SHOWN = 200


def history(model_admin: ModelAdmin[Any], request: HttpRequest, row: Model) -> list[dict[str, Any]]:
    """Returns the latest entries about the row, with addresses that put a state back."""
    entries = list(AuditEntry.objects.about(row)[:_SHOWN])
    may_put_back = model_admin.has_change_permission(request, row)
    return [
        {
            "at": f"{timezone.localtime(entry.at):%Y-%m-%d %H:%M:%S}",
            "who": who(entry),
            "address": entry.address or "",
            "act": act_in_words(entry.act),
            "changes": changes_table(entry),
            "states": states(entry) if may_put_back else [],
        }
        for entry in entries
    ]


def who(entry: AuditEntry) -> str:
    """Names the actor: a user, a user's key, the user of a command, or the site itself."""
    if entry.key_id is not None:
        return f"{entry.user_name} ({entry.key_name})"
    return entry.user_name or str(AuditEntry.Way(entry.way).label)


def changes_table(entry: AuditEntry) -> str:
    """Shows the changed fields, before and after; "" if nothing changed."""
    return differences(model_of(entry), entry.changes)


def differences(model: type[Model] | None, changes: dict[str, Any]) -> str:
    """Makes a table of fields, before and after."""
    if not changes:
        return ""
    rows = []
    for name, pair in changes.items():
        field = _field(model, name)
        words = capfirst(field_in_words(model, name))
        says = _part_of_rule if model is ReplyRule and name in _PARTS_OF_RULES else _in_words
        rows.append((words, *(_text(says(field, value)) for value in pair)))
    return render_to_string("admin/audit/changes.html", {"rows": rows})


def field_in_words(model: type[Model] | None, name: str) -> str:
    """Returns the name of a column in words; the name itself if the model no longer has it."""
    return str(getattr(_field(model, name), "verbose_name", name))


def model_of(entry: AuditEntry) -> type[Model] | None:
    """Returns the model of an entry; None if the site no longer has it."""
    try:
        return apps.get_model(entry.model) if entry.model else None
    except (LookupError, ValueError):
        return None


def kind_in_words(model: type[Model]) -> str:
    """Returns the word for a row of this table."""
    # django-allauth has no word for this one.
    name = _("second factor") if model._meta.label_lower == "mfa.authenticator" else ""
    return capfirst(name or str(model._meta.verbose_name))


def page_of_object(entry: AuditEntry) -> str:
    """Returns the address of the page of the entry's row; "" if the viewer has none."""
    model = model_of(entry)
    if model is None or not entry.object_id or not may_look_at(model):
        return ""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    try:
        return reverse(name, args=[entry.object_id])
    except NoReverseMatch:
        return ""


def states(entry: AuditEntry) -> list[tuple[str, str]]:
    """Returns the states that can be put back: words, and the address of the page for each."""
    name = f"admin:{entry.model.replace('.', '_')}_put_back"
    words = {"before": _("Put back the state before"), "after": _("Put back this state")}
    return [
        (words[moment], f"{reverse(name, args=[entry.pk])}?state={moment}")
        for moment in ("after", "before")
        if entry.details.get(moment)
    ]


def _field(model: type[Model] | None, name: str) -> Any:
    try:
        return model._meta.get_field(name) if model else None
    except FieldDoesNotExist:
        return None


# An empty rule, into which one part is put to describe that part.
_NO_RULE = {"id": 0, "trigger": {"on": "other"}}
_PARTS_OF_RULES = frozenset({"trigger", "conditions", "answers", "later"})


def _part_of_rule(field: Any, value: Any) -> Any:
    """Describes a part of a reply rule as the list of rules does; returns other values as is."""
    if not value:
        return ""
    try:
        rule = rule_from_json({**_NO_RULE, field.name: value})
    except (ValueError, TypeError, KeyError, AttributeError):
        return value
    names = Names({}, {})
    match field.name:
        case "trigger":
            return trigger_in_words(rule.trigger, names)
        case "conditions":
            return "\n".join(conditions_in_words(rule.conditions, names))
        case _:
            return "\n".join(answers_in_words(rule))


def _in_words(field: Any, value: Any) -> Any:
    """Returns the name of a choice or of a related row; other values as they are."""
    if value in (None, "") or isinstance(value, list | dict):
        return value
    if getattr(field, "many_to_one", False):
        row = field.related_model._base_manager.filter(pk=value).first()
        return value if row is None else str(row)
    return dict(getattr(field, "flatchoices", None) or ()).get(value, value)


def _text(value: Any) -> str:
    match value:
        case None | "":
            return "–"
        case bool():
            return _("yes") if value else _("no")
        case list() if all(isinstance(item, str) for item in value):
            return ", ".join(value) or "–"
        case list() | dict():
            return json.dumps(value, ensure_ascii=False, indent=1)
        case _:
            return str(value)
