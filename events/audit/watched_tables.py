"""Records every change of some tables, made by a page, the API, a command or other code.

It watches only tables that people edit. It does not watch events, followers and other tables that
pushes write: the callback records nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Permission
from django.core.serializers.json import DjangoJSONEncoder
from django.db import router, transaction
from django.db.models import Field, Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save

from events.audit.record import name_of, record

__all__ = ["HIDDEN", "is_watched", "keeps_states", "state_of", "watch"]

# Shown instead of a secret.
HIDDEN = "•••"

_BEFORE = "_audit_before"


@dataclass(frozen=True)
class _Watched:
    ignored: frozenset[str]
    secret: frozenset[str]
    keeps_states: bool


_watched: dict[type[Model], _Watched] = {}


def watch(
    model: type[Model],
    *,
    ignore: tuple[str, ...] = (),
    secret: tuple[str, ...] = (),
    many: tuple[str, ...] = (),
    keep_states: bool = False,
) -> None:
    """Records all rows that are added to the table, changed or removed.

    `ignore` are columns that the site itself changes. For `secret` columns an entry says only that
    they changed. `many` are many-to-many fields. With `keep_states` each entry holds the whole row
    before and after, so that an operator can put a state back.
    """
    if model not in _watched:
        _save_in_one_transaction(model)
    _watched[model] = _Watched(frozenset(ignore), frozenset(secret), keep_states)
    uid = f"audit.{model._meta.label}"
    pre_save.connect(_remember, sender=model, dispatch_uid=uid)
    post_save.connect(_saved, sender=model, dispatch_uid=uid)
    post_delete.connect(_deleted, sender=model, dispatch_uid=uid)
    for name in many:
        through = getattr(model, name).through
        m2m_changed.connect(_related, sender=through, dispatch_uid=f"{uid}.{name}")


def _save_in_one_transaction(model: type[Model]) -> None:
    """Makes each save of this model one transaction with its audit entry.

    Django sends post_save after its own transaction, and other packages save users and second
    factors without a transaction. For deleting and relating rows, Django's own transaction is
    enough.
    """
    save_base = model.save_base

    @functools.wraps(save_base)
    def save(self: Model, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            save_base(self, *args, **kwargs)

    model.save_base = save  # type: ignore[method-assign]


def is_watched(model: type[Model]) -> bool:
    return model in _watched


def keeps_states(model: type[Model]) -> bool:
    """Whether entries about this table hold whole rows, so that a state can be put back."""
    return model in _watched and _watched[model].keeps_states


def state_of(row: Model) -> dict[str, Any]:
    """Returns the row's columns in JSON's types, secrets hidden, without ignored columns."""
    watched = _watched[type(row)]
    state: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        value = row.__dict__.get(field.attname)
        # A deferred column did not change, and the value of a database expression is unknown.
        if (
            field.primary_key
            or field.name in watched.ignored
            or field.attname not in row.__dict__
            or hasattr(value, "resolve_expression")
        ):
            continue
        if field.name in watched.secret:
            # Keep the real value, so that a change is noticed; entries show HIDDEN.
            state[field.name] = _Secret(value) if value else ""
        else:
            state[field.name] = _plain(field, value)
    return state


class _Secret(str):
    """A secret in memory; entries show HIDDEN instead."""

    __slots__ = ()


def _plain(field: Field[Any, Any], value: Any) -> Any:
    value = field.to_python(value)
    if value is None or isinstance(value, str | int | float | bool | list | dict):
        return value
    return DjangoJSONEncoder().default(value)


def _shown(value: Any) -> Any:
    return HIDDEN if isinstance(value, _Secret) else value


def _remember(sender: type[Model], instance: Model, raw: bool, **kwargs: Any) -> None:
    if raw or instance._state.adding:
        return
    stored = sender._base_manager.filter(pk=instance.pk).first()
    setattr(instance, _BEFORE, state_of(stored) if stored is not None else None)


def _saved(
    sender: type[Model],
    instance: Model,
    created: bool,
    raw: bool,
    update_fields: frozenset[str] | None,
    **kwargs: Any,
) -> None:
    if raw:
        return
    before = instance.__dict__.pop(_BEFORE, None) or {}
    after = state_of(instance)
    if update_fields is not None:
        after = {name: after[name] for name in after if name in update_fields}
    changed = {
        name: [_shown(before.get(name)), _shown(value)]
        for name, value in after.items()
        if (value not in (None, "") if created else before.get(name) != value)
    }
    if changed:
        _record("add" if created else "change", instance, changed, before, before | after)


def _deleted(sender: type[Model], instance: Model, **kwargs: Any) -> None:
    before = state_of(instance)
    changed = {name: [_shown(value), None] for name, value in before.items() if value}
    _record("delete", instance, changed, before, {})


def _related(
    sender: type[Model], instance: Model, action: str, pk_set: set[Any] | None, model: type[Model],
    reverse: bool, **kwargs: Any,
) -> None:  # fmt: skip
    owner = model if reverse else type(instance)
    field = next(f.name for f in owner._meta.many_to_many if f.remote_field.through is sender)
    if action == "pre_clear" and not reverse:
        changes = [_names(getattr(instance, field).all()), []]
    elif action == "post_add":
        changes = [[], _names(model._base_manager.filter(pk__in=pk_set or ()))]
    elif action == "post_remove":
        changes = [_names(model._base_manager.filter(pk__in=pk_set or ())), []]
    else:
        return
    if any(changes):
        name = str(model._meta.model_name) if reverse else field
        record("change", instance, name=name_of(instance), changes={name: changes})


def _names(rows: Iterable[Model]) -> list[str]:
    return sorted(_name(row) for row in rows)


def _name(row: Model) -> str:
    if isinstance(row, Permission):
        return f"{row.content_type.app_label}.{row.codename}"
    return str(row)


def _record(
    act: str,
    row: Model,
    changes: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    details: dict[str, Any] = {}
    if keeps_states(type(row)):
        details = {
            "before": {name: _shown(value) for name, value in before.items()},
            "after": {name: _shown(value) for name, value in after.items()},
        }
    record(act, row, name=name_of(row), changes=changes, details=details)
