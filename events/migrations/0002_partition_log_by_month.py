"""On PostgreSQL: the log becomes a table partitioned by month of event_time, and back again.

Django sees no change: `id` stays the model's primary key, though in the database the key is
(id, event_time), since a key of a partitioned table must contain what it is partitioned by. On
SQLite nothing is done.

Everything happens in one transaction that holds the log for itself, so nobody can write while the
rows are copied. Definitions are read from the table that is there, so whatever index or constraint
it has by then goes with it.
"""

from __future__ import annotations

from django.db import migrations
from django.utils import timezone

LOG = "events_eventlog"
FORMER = "events_eventlog_former"
DEFAULT = "events_eventlog_default"
SEQUENCE = "events_eventlog_id_seq"
# An older month is not worth a partition of its own, and a stray date must not make thousands.
OLDEST_MONTHS_BACK = 24
MONTHS_AHEAD = 3


def partition(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        state = set_apart(cursor)
        cursor.execute(
            f"CREATE TABLE {LOG} (LIKE {FORMER} INCLUDING ALL EXCLUDING INDEXES) "
            "PARTITION BY RANGE (event_time)"
        )
        for year, month in wanted_months(cursor):
            make_partition(cursor, year, month)
        cursor.execute(f"CREATE TABLE {DEFAULT} PARTITION OF {LOG} DEFAULT")
        move(cursor, state, primary_key="id, event_time")


def unpartition(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        state = set_apart(cursor)
        cursor.execute(f"CREATE TABLE {LOG} (LIKE {FORMER} INCLUDING ALL EXCLUDING INDEXES)")
        move(cursor, state, primary_key="id")


def set_apart(cursor):
    """Renames the log, and returns what must be the same about the new one."""
    # Checks still waiting for the end of the transaction would forbid to alter the table.
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    # It is made anew after `migrate`.
    cursor.execute("DROP VIEW IF EXISTS report_events")
    cursor.execute(f"LOCK TABLE {LOG} IN ACCESS EXCLUSIVE MODE")
    cursor.execute(f"SELECT count(*), coalesce(sum(id), 0) FROM {LOG}")
    rows = cursor.fetchone()
    # The checks are copied by LIKE, and the primary key is another one.
    cursor.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype IN ('u', 'f', 'x') ORDER BY contype, conname",
        [LOG],
    )
    constraints = cursor.fetchall()
    cursor.execute(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)",
        [LOG],
    )
    indexes = [definition.replace(" ON ONLY ", " ON ") for (definition,) in cursor.fetchall()]
    cursor.execute(
        f"SELECT format('GRANT %%s ON {LOG} TO %%s%%s', privilege_type, "
        "CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, "
        "CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) "
        "FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = %s::regclass "
        "AND grantee <> relowner",
        [LOG],
    )
    grants = [grant for (grant,) in cursor.fetchall()]
    cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [LOG])
    (sequence,) = cursor.fetchone()
    cursor.execute(f"SELECT last_value, is_called FROM {sequence}")
    counter = cursor.fetchone()
    cursor.execute(f"ALTER TABLE {LOG} RENAME TO {FORMER}")
    # The new table's sequence takes the plain name again.
    cursor.execute(f"ALTER SEQUENCE {sequence} RENAME TO {FORMER}_id_seq")
    return rows, constraints, indexes, grants, counter


def move(cursor, state, *, primary_key):
    """Copies all rows, drops the former table, and gives the new one keys and indexes."""
    rows, constraints, indexes, grants, counter = state
    cursor.execute(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
        [LOG],
    )
    (columns,) = cursor.fetchone()
    cursor.execute(f"INSERT INTO {LOG} ({columns}) SELECT {columns} FROM {FORMER}")
    cursor.execute(f"SELECT count(*), coalesce(sum(id), 0) FROM {LOG}")
    copied = cursor.fetchone()
    if copied != rows:
        raise RuntimeError(f"{rows[0]} rows were to be moved, {copied[0]} arrived.")
    cursor.execute(f"DROP TABLE {FORMER}")
    # Now their names are free.
    cursor.execute(f"ALTER TABLE {LOG} ADD CONSTRAINT {LOG}_pkey PRIMARY KEY ({primary_key})")
    for name, definition in constraints:
        cursor.execute(f'ALTER TABLE {LOG} ADD CONSTRAINT "{name}" {definition}')
    for definition in [*indexes, *grants]:
        cursor.execute(definition)
    cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [LOG])
    (sequence,) = cursor.fetchone()
    if sequence.split(".")[-1] != SEQUENCE:
        cursor.execute(f"ALTER SEQUENCE {sequence} RENAME TO {SEQUENCE}")
    cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, %s)", [LOG, *counter])
    cursor.execute(f"ANALYZE {LOG}")


def wanted_months(cursor):
    """The months that have rows and are not too old, without gaps, to some months from now."""
    now = timezone.now()
    this = now.year * 12 + now.month - 1
    cursor.execute(
        f"SELECT min(event_time AT TIME ZONE 'UTC') FROM {FORMER} "
        "WHERE event_time >= make_timestamptz(%s, %s, 1, 0, 0, 0, 'UTC') AND event_time <= %s",
        [(this - OLDEST_MONTHS_BACK) // 12, (this - OLDEST_MONTHS_BACK) % 12 + 1, now],
    )
    (oldest,) = cursor.fetchone()
    first = this if oldest is None else oldest.year * 12 + oldest.month - 1
    return [(number // 12, number % 12 + 1) for number in range(first, this + MONTHS_AHEAD + 1)]


def make_partition(cursor, year, month):
    following = year * 12 + month
    cursor.execute(
        f"CREATE TABLE {LOG}_{year:04}_{month:02} PARTITION OF {LOG} FOR VALUES "
        f"FROM ('{year:04}-{month:02}-01 00:00:00+00') "
        f"TO ('{following // 12:04}-{following % 12 + 1:02}-01 00:00:00+00')"
    )


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [migrations.RunPython(partition, unpartition)]
