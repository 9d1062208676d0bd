"""Holds the connection on which this process stores pushes on PostgreSQL.

A statement on it is one round trip: it commits by itself, the connection has its limits from the
start, and the server has planned the statement. A pooled connection needs five: its check, BEGIN
and limits, the statements, COMMIT. So a single push costs a third of the processor time.

In three cases a statement runs in a transaction of Django's connection instead: behind PgBouncer,
which shares connections; inside a caller's transaction; while the server gives no connection.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from typing import Any

import psycopg
from django.db import connection
from psycopg import pq
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName

from events.db.transactions import LOCK_TIMEOUT, short_transaction

__all__ = ["close", "run_once"]

logger = logging.getLogger(__name__)

_LIMITS = (
    f"-c lock_timeout={LOCK_TIMEOUT * 1000} -c statement_timeout={(LOCK_TIMEOUT + 1) * 1000} "
    # The plan does not depend on the rows, so plan the statement only once.
    "-c plan_cache_mode=force_generic_plan"
)
# Milliseconds until an unreachable server counts as gone.
_NETWORK_TIMEOUT = 5000
# Seconds until the next try after connecting failed.
_PAUSE = 10

_Rows = list[tuple[bytes | None, ...]]


class _Writer:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._driver: psycopg.Connection[Any] | None = None
        self._names: dict[bytes, bytes] = {}
        self._not_before = 0.0

    def run(self, statement: bytes, parameter: bytes) -> _Rows | None:
        """Returns the statement's rows; None if no connection is free, and nothing was stored."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if not self._is_open() and not self._open():
                return None
            try:
                return self._execute(statement, parameter)
            except (DuplicatePreparedStatement, InvalidSqlStatementName):
                # The server does not know the prepared statement, so it stored nothing.
                logger.error("The server lost a prepared statement: is BEHIND_PGBOUNCER missing?")
                self._not_before = float("inf")
                self._close()
                return None
            except BaseException:
                if self._driver is not None and self._driver.pgconn.status != pq.ConnStatus.OK:
                    self._close()
                raise
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _is_open(self) -> bool:
        if self._driver is None:
            return False
        # Only the server's end of the connection, or a change of its settings, makes an idle
        # connection readable. In both cases make a new one.
        waiting = select.poll()
        waiting.register(self._driver.pgconn.socket, select.POLLIN)
        if not waiting.poll(0):
            return True
        self._close()
        return False

    def _open(self) -> bool:
        if time.monotonic() < self._not_before:
            return False
        parameters = connection.get_connection_params()
        options = f"{parameters.pop('options', '')} {_LIMITS}".strip()
        try:
            self._driver = psycopg.connect(
                **parameters, options=options, tcp_user_timeout=_NETWORK_TIMEOUT, autocommit=True
            )
        except psycopg.Error as error:
            logger.warning("The writer could not connect: %s", error)
            self._not_before = time.monotonic() + _PAUSE
            return False
        return True

    def _close(self) -> None:
        self._names.clear()
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _execute(self, statement: bytes, parameter: bytes) -> _Rows:
        assert self._driver is not None
        pgconn = self._driver.pgconn
        name = self._names.get(statement)
        if name is None:
            name = b"store_%d" % len(self._names)
            _rows_of(pgconn.prepare(name, statement))
            self._names[statement] = name
        return _rows_of(pgconn.exec_prepared(name, [parameter]))


_writer = _Writer()


def run_once(statement: bytes, parameter: bytes) -> _Rows:
    """Runs and commits a statement with the parameter $1; returns its rows, each value as text.

    It never runs the statement twice. After an OperationalError or InterfaceError it is unknown
    whether the statement was committed; after another DatabaseError nothing was stored.
    """
    with connection.wrap_database_errors:
        # BEHIND_PGBOUNCER sets this option of Django: a pooler shares the connection.
        is_shared = connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"]
        if not is_shared and not connection.in_atomic_block:
            rows = _writer.run(statement, parameter)
            if rows is not None:
                return rows
        with short_transaction():
            connection.ensure_connection()
            return _rows_of(connection.connection.pgconn.exec_params(statement, [parameter]))


def close() -> None:
    """Closes the connection, if there is one."""
    _writer.close()


def _rows_of(result: pq.abc.PGresult) -> _Rows:
    if result.status not in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
        raise psycopg.errors.error_from_result(result)
    columns = range(result.nfields)
    return [
        tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)
    ]
