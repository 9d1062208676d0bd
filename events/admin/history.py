"""What was done to a row, as its page of history and the audit list show it."""

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

__all__ = [
    "changes_table",
    "differences",
    "history",
    "kind_in_words",
    "model_of",
    "page_of_object",
    "states",
    "who",
]

_SHOWN = 200


def history(model_admin: ModelAdmin[Any], request: HttpRequest, row: Model) -> list[dict[str, Any]]:
    """The latest entries about the row; each state that can be put back has an address."""
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
    """Who acted: a user, a key of a user, the user of a command, or the site itself."""
    if entry.key_id is not None:
        return f"{entry.user_name} ({entry.key_name})"
    return entry.user_name or str(AuditEntry.Way(entry.way).label)


def changes_table(entry: AuditEntry) -> str:
    """The changed fields, before and after; "" if nothing changed."""
    return differences(model_of(entry), entry.changes)


def differences(model: type[Model] | None, changes: dict[str, Any]) -> str:
    """A table of fields, before and after."""
    if not changes:
        return ""
    rows = []
    for name, pair in changes.items():
        field = _field(model, name)
        words = capfirst(str(getattr(field, "verbose_name", name)))
        says = _part_of_rule if model is ReplyRule and name in _PARTS_OF_RULES else _in_words
        rows.append((words, *(_text(says(field, value)) for value in pair)))
    return render_to_string("admin/audit/changes.html", {"rows": rows})


def model_of(entry: AuditEntry) -> type[Model] | None:
    """The model that an entry is about; None if this site has it no more."""
    try:
        return apps.get_model(entry.model) if entry.model else None
    except (LookupError, ValueError):
        return None


def kind_in_words(model: type[Model]) -> str:
    """What a row of this table is called."""
    # django-allauth has no word for it.
    name = _("second factor") if model._meta.label_lower == "mfa.authenticator" else ""
    return capfirst(name or str(model._meta.verbose_name))


def page_of_object(entry: AuditEntry) -> str:
    """The address of the page of what the entry is about; "" if there is none."""
    model = model_of(entry)
    if model is None or not entry.object_id:
        return ""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    try:
        return reverse(name, args=[entry.object_id])
    except NoReverseMatch:
        return ""


def states(entry: AuditEntry) -> list[tuple[str, str]]:
    """What can be put back, in words, and the addresses of the pages that do it."""
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


# An empty rule, in which one part is put.
_NO_RULE = {"id": 0, "trigger": {"on": "other"}}
_PARTS_OF_RULES = frozenset({"trigger", "conditions", "answers", "later"})


def _part_of_rule(field: Any, value: Any) -> Any:
    """A part of a reply rule as its list says it; what is no such part as it is."""
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
    """A choice by its name, and a row that is pointed to by its own."""
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
