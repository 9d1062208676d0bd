"""Makes triggers that record which rows changed, by any process and any statement.

The site makes them after `migrate`, not by a migration: to alter a table on SQLite, Django makes a
new table, and the triggers disappear with the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from events.db.upsert import FUNCTIONS

__all__ = ["CHANGES", "SEQUENCE", "Watched", "drop_triggers", "make_triggers"]

CHANGES = "events_rowchange"
SEQUENCE = f"{CHANGES}_seq"
_FUNCTION = "note_row_change"


@dataclass(frozen=True, slots=True)
class Watched:
    """A table whose changes are recorded as `type`, with the id in the column `id_column`.

    An update counts only if it changes one of `columns`, or if one of `nullness` changes between
    NULL and a value. `inserts` and `deletes` say whether new and deleted rows are recorded.
    A deleted row is recorded with its `account_id`, if its table has one.
    """

    model: type[models.Model]
    type: str
    columns: Sequence[str]
    nullness: Sequence[str] = ()
    id_column: str = "id"
    inserts: bool = True
    deletes: bool = True

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    def name(self, act: str) -> str:
        return f"{self.table}_note_{act.lower()}"

    @property
    def acts(self) -> Iterable[str]:
        if self.inserts:
            yield "INSERT"
        if self.columns or self.nullness:
            yield "UPDATE"
        if self.deletes:
            yield "DELETE"


def make_triggers(connection: BaseDatabaseWrapper, tables: Iterable[Watched]) -> None:
    """Makes the missing triggers; skips tables that do not exist yet."""
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
        if CHANGES not in present:
            return
        if is_postgres:
            _make_function(cursor)
            cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        made = {name for (name,) in cursor.fetchall()}
        for watched in tables:
            for act in watched.acts:
                if watched.table in present and watched.name(act) not in made:
                    write = _postgres_trigger if is_postgres else _sqlite_trigger
                    cursor.execute(write(watched, act))


def drop_triggers(connection: BaseDatabaseWrapper, tables: Iterable[Watched]) -> None:
    """Removes the triggers on SQLite, which cannot rename a table to which a trigger writes."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        for watched in tables:
            for act in watched.acts:
                cursor.execute(f'DROP TRIGGER IF EXISTS "{watched.name(act)}"')


def _when(watched: Watched, act: str, differs: str) -> str:
    if act != "UPDATE":
        return ""
    conditions = [
        *(f'OLD."{name}" {differs} NEW."{name}"' for name in watched.columns),
        *(f'(OLD."{n}" IS NULL) {differs} (NEW."{n}" IS NULL)' for n in watched.nullness),
    ]
    return f"WHEN ({' OR '.join(conditions)})"


def _act(watched: Watched, act: str) -> str:
    if act != "UPDATE":
        return act
    # With the columns named, a statement that sets none of them does not run the trigger.
    columns = ", ".join(f'"{name}"' for name in (*watched.columns, *watched.nullness))
    return f"UPDATE OF {columns}"


def _row(act: str) -> str:
    return "OLD" if act == "DELETE" else "NEW"


def _make_function(cursor: object) -> None:
    # The trigger's arguments are the type and the name of the column with the id.
    cursor.execute(f"CREATE SEQUENCE IF NOT EXISTS {SEQUENCE}")  # type: ignore[attr-defined]
    cursor.execute(  # type: ignore[attr-defined]
        f"""
        CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            object bigint;
            account bigint;
        BEGIN
            IF TG_OP = 'DELETE' THEN
                object := (to_jsonb(OLD) ->> TG_ARGV[1])::bigint;
                account := (to_jsonb(OLD) ->> 'account_id')::bigint;
            ELSIF TG_ARGV[1] = 'id' THEN
                object := NEW.id;
            ELSE
                object := (to_jsonb(NEW) ->> TG_ARGV[1])::bigint;
            END IF;
            INSERT INTO {CHANGES} AS known (type, object_id, seq, account_id, changed_at)
            VALUES (TG_ARGV[0], object, nextval('{SEQUENCE}'), account, clock_timestamp())
            ON CONFLICT (type, object_id) DO UPDATE
            SET seq = excluded.seq, changed_at = excluded.changed_at,
                account_id = coalesce(excluded.account_id, known.account_id);
            RETURN NULL;
        END $$
        """
    )


def _postgres_trigger(watched: Watched, act: str) -> str:
    return (
        f'CREATE TRIGGER "{watched.name(act)}" AFTER {_act(watched, act)} '
        f'ON "{watched.table}" FOR EACH ROW '
        f"{_when(watched, act, 'IS DISTINCT FROM')} "
        f"EXECUTE FUNCTION {_FUNCTION}('{watched.type}', '{watched.id_column}')"
    )


def _sqlite_trigger(watched: Watched, act: str) -> str:
    now = FUNCTIONS["sqlite"]["now"]
    names = {field.column for field in watched.model._meta.concrete_fields}
    account = 'OLD."account_id"' if act == "DELETE" and "account_id" in names else "NULL"
    following = f"(SELECT COALESCE(MAX(seq), 0) + 1 FROM {CHANGES} WHERE type = '{watched.type}')"
    return (
        f'CREATE TRIGGER "{watched.name(act)}" AFTER {_act(watched, act)} '
        f'ON "{watched.table}" FOR EACH ROW '
        f"{_when(watched, act, 'IS NOT')} BEGIN "
        f"INSERT INTO {CHANGES} (type, object_id, seq, account_id, changed_at) "
        f"VALUES ('{watched.type}', {_row(act)}.\"{watched.id_column}\", {following}, {account}, "
        f"{now}) ON CONFLICT (type, object_id) DO UPDATE "
        "SET seq = excluded.seq, changed_at = excluded.changed_at, "
        "account_id = coalesce(excluded.account_id, account_id); END"
    )
