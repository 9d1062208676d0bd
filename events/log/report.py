"""Makes the database views `report_events` and `report_daily` (docs/reporting.md)."""

from __future__ import annotations

from typing import Any

from django.db import connections

from events.binding_scenes import (
    BETWEEN,
    CODE_CHARACTERS,
    CODE_MASK,
    CODE_MAY_BE_VALID,
    MASK,
    SHAPE,
)
from events.db.schema.report_views import drop_views, make_views

__all__ = ["drop_report_of_events", "make_report_of_events"]

# A body that is not UTF-8 must not make a whole query fail.
_TEXT_FUNCTION = r"""
CREATE OR REPLACE FUNCTION report_text(raw bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN substring(
        convert_from(raw, 'UTF8') FROM '<Content>(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?</Content>'
    );
EXCEPTION WHEN others THEN
    RETURN NULL;
END $$
"""
_BODY = "CAST(e.raw AS TEXT)"
_AFTER = f"substr({_BODY}, instr({_BODY}, '<Content><![CDATA[') + 18)"
_CONTENT = {
    "postgresql": "report_text(e.raw)",
    "sqlite": f"CASE WHEN instr({_BODY}, '<Content><![CDATA[') > 0 "
    f"THEN substr({_AFTER}, 1, instr({_AFTER}, ']]></Content>') - 1) END",
}
_DAY = {
    "postgresql": "(c.start AT TIME ZONE s.time_zone)::date",
    # At noon the account's date is the date in UTC too, for zones up to twelve hours away.
    "sqlite": "date(c.start, '+12 hours')",
}


def _masked(expression: str, vendor: str) -> str:
    """SQL that masks the one-time binding scenes in a text, as `events.binding_scenes` does."""
    if vendor == "postgresql":
        return f"regexp_replace({expression}, '{SHAPE}', '{MASK}', 'g')"
    # SQLite has no regular expressions, so it masks the whole text.
    shape = "*bind-" + "[A-Za-z0-9_-]" * 32 + "*"
    return f"CASE WHEN {expression} GLOB '{shape}' THEN '{MASK}' ELSE {expression} END"


def _may_hold_code(content: str, vendor: str) -> str:
    """SQL for whether a text may hold a short code that is still valid."""
    seconds = int(CODE_MAY_BE_VALID.total_seconds())
    character = f"[{CODE_CHARACTERS}{CODE_CHARACTERS.lower()}]"
    if vendor == "postgresql":
        return (
            f"e.received_at > now() - interval '{seconds} seconds' "
            f"AND translate({content}, '{BETWEEN}', '') ~ '{character}{{8}}'"
        )
    for letter in BETWEEN:
        content = f"replace({content}, '{letter}', '')"
    return (
        f"e.received_at > datetime('now', '-{seconds} seconds') "
        f"AND {content} GLOB '*{8 * character}*'"
    )


def _events(vendor: str) -> str:
    code = f"{_may_hold_code(_CONTENT[vendor], vendor)} THEN '{CODE_MASK}'"
    content = f"CASE WHEN {code} ELSE {_masked(_CONTENT[vendor], vendor)} END"
    return f"""
        SELECT e.id, a.slug AS account, e.source, e.kind, e.msg_type, e.event,
            {_masked("e.event_key", vendor)} AS event_key, {_masked("e.scene", vendor)} AS scene,
            e.openid, CASE WHEN e.kind = 'text' THEN {content} END AS text,
            e.event_time, e.received_at, e.delivery_count, e.status, e.answered_by, e.answered_at
        FROM events_eventlog e JOIN events_officialaccount a ON a.id = e.account_id
    """


def _daily(vendor: str) -> str:
    return f"""
        SELECT a.slug AS account, {_DAY[vendor]} AS day, n.kind, c.events, c.people, c.answered,
            c.unanswered
        FROM events_periodcount c
        JOIN events_series n ON n.id = c.series_id AND n.key = ''
        JOIN events_officialaccount a ON a.id = n.account_id
        JOIN events_accountstatistics s ON s.account_id = n.account_id
        WHERE c.period = 'd' AND c.events > 0
    """


_VIEWS = {
    "report_events": {vendor: _events(vendor) for vendor in _DAY},
    "report_daily": {vendor: _daily(vendor) for vendor in _DAY},
}


def make_report_of_events(using: str, **_signal: Any) -> None:
    """Makes the views; a receiver of post_migrate."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_TEXT_FUNCTION)
    make_views(connection, _VIEWS)


def drop_report_of_events(using: str, **_signal: Any) -> None:
    """Removes the views where `migrate` needs that; a receiver of pre_migrate."""
    drop_views(connections[using], _VIEWS)
