"""Dumps and restores a PostgreSQL database with pg_dump and pg_restore, in the custom format."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection, transaction
from psycopg.conninfo import make_conninfo

from wechat_site.backup.manifest import BackupError

__all__ = ["FILE", "dump", "load", "refuse_others", "refuse_rows", "server_version"]

FILE = "database.dump"
# The schema of the site's tables, and the schema that keeps them during a restore.
_SCHEMA = "public"
_FORMER_SCHEMA = "before_restore"
# Seconds within which our own connections, just closed, end at the server.
_ENDING = 5
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "service": "PGSERVICE",
}


def server_version() -> str:
    """The version of the PostgreSQL server."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])


def dump(target: Path) -> Mapping[str, int]:
    """Writes the database; returns how many rows each table had in the same snapshot."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT pg_export_snapshot()")
        (snapshot,) = cursor.fetchone()
        _run(
            "pg_dump", "--format=custom", "--no-owner", "--no-privileges",
            f"--snapshot={snapshot}", f"--file={target}",
        )  # fmt: skip
        rows = {}
        for name in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(f'SELECT count(*) FROM "{name}"')
            rows[name] = cursor.fetchone()[0]
    return rows


def refuse_rows() -> None:
    """Raises BackupError if the database has tables, or has tables that a killed restore moved."""
    if connection.introspection.table_names() or _has_former_schema():
        raise BackupError(
            "The database of DATABASE_URL has tables already. Name an empty one, or use --replace."
        )


def refuse_others() -> None:
    """Raises BackupError if a site or a tool is connected to the database."""
    connection.close()
    pooled: Any = connection
    pooled.close_pool()
    give_up_at = time.monotonic() + _ENDING
    with psycopg.connect(make_conninfo(**_parameters()), autocommit=True) as own:
        while True:
            found = own.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ).fetchone()
            others = found[0] if found else 0
            if not others:
                return
            if time.monotonic() > give_up_at:
                raise BackupError(
                    f"{others} other connections to the database are open: stop web servers and "
                    "workers first."
                )
            time.sleep(0.1)


def load(dumped: Path) -> None:
    """Restores the whole database. If pg_restore fails, the former tables stay as they were.

    If the process is killed meanwhile, the next `load` begins with the former tables again.
    """
    _run("pg_restore", "--list", str(dumped))
    with transaction.atomic(), connection.cursor() as cursor:
        if _has_former_schema() and not connection.introspection.table_names(cursor):
            _put_back(cursor)
        cursor.execute(f"DROP SCHEMA IF EXISTS {_FORMER_SCHEMA} CASCADE")
        cursor.execute(f"ALTER SCHEMA {_SCHEMA} RENAME TO {_FORMER_SCHEMA}")
        cursor.execute(f"CREATE SCHEMA {_SCHEMA}")
    try:
        _run(
            "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner",
            "--no-privileges", f"--dbname={_environment()['PGDATABASE']}", str(dumped),
        )  # fmt: skip
    except BaseException:
        with transaction.atomic(), connection.cursor() as cursor:
            _put_back(cursor)
        raise
    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA {_FORMER_SCHEMA} CASCADE")
        # The planner has no statistics of the new tables yet.
        cursor.execute("ANALYZE")


def _has_former_schema() -> bool:
    """Whether a restore was killed before its end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [_FORMER_SCHEMA])
        return bool(cursor.fetchone()[0])


def _put_back(cursor: Any) -> None:
    cursor.execute(f"DROP SCHEMA {_SCHEMA} CASCADE")
    cursor.execute(f"ALTER SCHEMA {_FORMER_SCHEMA} RENAME TO {_SCHEMA}")


def _run(program: str, *arguments: str) -> None:
    path = _path_of(program)
    result = subprocess.run(
        [path, *arguments],
        env={**os.environ, **_environment()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode:
        raise BackupError(f"{program} failed: {result.stderr.strip()[-2000:]}")


def _path_of(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise BackupError(
            f"{program} was not found. Install PostgreSQL's client programs, at least as new as "
            "the server (Debian: apt-get install postgresql-client)."
        )
    return found


def _environment() -> dict[str, str]:
    """The connection as environment variables: every user of the machine can see arguments."""
    return {_VARIABLES[name]: value for name, value in _parameters().items()}


def _parameters() -> dict[str, str]:
    connect = connection.get_connection_params()
    return {name: str(connect[name]) for name in _VARIABLES if connect.get(name)}
