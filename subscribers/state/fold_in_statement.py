"""The fold into followers as a part of the statement that stores pushes on PostgreSQL.

state_of() says what one event means, and the expressions of subscribers/fold/sql.py combine that
with the follower's row. So this module has no rules of its own: it connects the two.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from django.db import connection

from events.db.upsert import sql_type
from events.log.registry import InStatement
from subscribers.fold.rules import STATE_COLUMNS, State, state_of
from subscribers.models import Subscriber
from subscribers.models.subscriber import fold_statement

if TYPE_CHECKING:
    from events.models import EventLog

__all__ = ["FOLD_IN_STATEMENT"]

_NOTHING = State()
# The column that is true for events that say something about a follower.
_SPEAKS = "has_state"


def _columns() -> Mapping[str, str]:
    fields = fold_statement(Subscriber).columns
    return {_SPEAKS: "boolean"} | {
        name: sql_type(fields[name], connection) for name in STATE_COLUMNS
    }


def _values(event: EventLog) -> Mapping[str, Any] | None:
    state = state_of(event)
    if state is None:
        return None
    values: dict[str, Any] = {_SPEAKS: True}
    for name in STATE_COLUMNS:
        value = getattr(state, name)
        if value != getattr(_NOTHING, name):
            values[name] = value
    return values


def _row(event: EventLog) -> Hashable:
    return event.account_id, event.openid


def _sql() -> str:
    columns = ", ".join(
        name if default is None else f"COALESCE({name}, '{default}')"
        for name, default in _NOTHING.columns().items()
    )
    return fold_statement(Subscriber).from_select(
        connection,
        f"account_id, openid, {columns}",
        # COLLATE "C" gives the order in which Python sorts these keys elsewhere, whatever the
        # database's language. In another order, two processes could wait for each other's rows.
        f'FROM new WHERE {_SPEAKS} ORDER BY account_id, openid COLLATE "C"',
    )


FOLD_IN_STATEMENT = InStatement(_columns, _values, _row, _sql)
