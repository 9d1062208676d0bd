"""Triggers that note bindings, failed messages and ready QR codes for webhooks.

A trigger writes in the transaction of the change, so no change is lost, and none that was rolled
back is sent. Events of the log need no note, because webhooks read the log itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connections

from events.db.upsert import FUNCTIONS
from subscribers.models import Binding, OutgoingMessage, QRScene, WebhookOutbox

__all__ = ["drop_triggers", "make_triggers"]

_FUNCTION = "note_for_webhooks"
_OUTBOX = WebhookOutbox._meta.db_table


@dataclass(frozen=True, slots=True)
class _Noted:
    """An act on a table that becomes an event of `type`, if `condition` holds for the row."""

    type: str
    table: str
    act: str
    condition: str = ""

    @property
    def name(self) -> str:
        return f"{self.table}_tell_{self.type.partition('.')[2]}"


_NOTED = (
    _Noted("binding.created", Binding._meta.db_table, "INSERT"),
    _Noted(
        "binding.ended",
        Binding._meta.db_table,
        "UPDATE",
        "OLD.unbound_at IS NULL AND NEW.unbound_at IS NOT NULL",
    ),
    _Noted(
        "message.failed",
        OutgoingMessage._meta.db_table,
        "UPDATE",
        "OLD.state <> 'failed' AND NEW.state = 'failed' AND NEW.failure <> 'erased'",
    ),
    _Noted(
        "scene.ready",
        QRScene._meta.db_table,
        "UPDATE",
        "OLD.due_at IS NOT NULL AND NEW.due_at IS NULL AND NEW.url <> '' AND NEW.failure = ''",
    ),
)


def make_triggers(using: str, **_signal: Any) -> None:
    """Makes the triggers that are missing."""
    connection = connections[using]
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
        if _OUTBOX not in present:
            return
        if is_postgres:
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$ "
                f"BEGIN INSERT INTO {_OUTBOX} (type, object_id, at) "
                "VALUES (TG_ARGV[0], NEW.id, clock_timestamp()); RETURN NULL; END $$"
            )
            cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        made = {name for (name,) in cursor.fetchall()}
        for noted in _NOTED:
            if noted.table in present and noted.name not in made:
                cursor.execute(_postgres(noted) if is_postgres else _sqlite(noted))


def drop_triggers(using: str, **_signal: Any) -> None:
    """Removes the triggers on SQLite, which renames no table that a trigger writes to."""
    connection = connections[using]
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        for noted in _NOTED:
            cursor.execute(f'DROP TRIGGER IF EXISTS "{noted.name}"')


def _head(noted: _Noted) -> str:
    when = f"WHEN ({noted.condition})" if noted.condition else ""
    return f'CREATE TRIGGER "{noted.name}" AFTER {noted.act} ON "{noted.table}" FOR EACH ROW {when}'


def _postgres(noted: _Noted) -> str:
    return f"{_head(noted)} EXECUTE FUNCTION {_FUNCTION}('{noted.type}')"


def _sqlite(noted: _Noted) -> str:
    return (
        f"{_head(noted)} BEGIN INSERT INTO {_OUTBOX} (type, object_id, at) "
        f"VALUES ('{noted.type}', NEW.id, {FUNCTIONS['sqlite']['now']}); END"
    )
