"""Counts customer-service messages by the time of sending, in the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db import connection

from events.stats.reading.queries import MessageRow, Slot, Span
from subscribers.models import OutgoingMessage

__all__ = ["messages_out"]

# How many periods one statement counts.
_SLOTS = 500


def messages_out(span: Span) -> Iterator[MessageRow]:
    """For each period, the customer-service messages sent, and to how many people."""
    for place in range(0, len(span.slots), _SLOTS):
        slots = span.slots[place : place + _SLOTS]
        counted = _counts(span.account.pk, slots)
        for number, slot in enumerate(slots):
            messages, people = counted.get(number, (0, 0))
            yield MessageRow(slot.start, "out", messages, people, 0, 0, None, slot.is_complete)


def _counts(account_id: int, slots: Sequence[Slot]) -> dict[int, tuple[int, int]]:
    """Messages and people by the number of the slot; slots without messages are left out."""
    table = connection.ops.quote_name(OutgoingMessage._meta.db_table)
    is_postgres = connection.vendor == "postgresql"
    row = "(%s::int, %s::timestamptz, %s::timestamptz)" if is_postgres else "(%s, %s, %s)"
    adapt = connection.ops.adapt_datetimefield_value
    parameters = [
        value
        for number, slot in enumerate(slots)
        for value in (number, adapt(slot.start), adapt(slot.end))
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH slot (number, first, after) AS (VALUES {", ".join([row] * len(slots))})
            SELECT slot.number, COUNT(*), COUNT(DISTINCT message.subscriber_id)
            FROM slot JOIN {table} AS message
                ON message.sent_at >= slot.first AND message.sent_at < slot.after
                AND message.account_id = %s AND message.state = %s
            GROUP BY slot.number
            """,
            [*parameters, account_id, OutgoingMessage.State.SENT.value],
        )
        return {number: (messages, people) for number, messages, people in cursor.fetchall()}
