"""The log's own vocabulary: delivering a row, and the phrases its readers use."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.db import connections, models

if TYPE_CHECKING:
    from events.models import EventLog

__all__ = ["EVENT_KEY_PREFIX_LENGTH", "EventKeyPrefix", "EventLogQuerySet"]

# PostgreSQL refuses an index entry above 2,704 bytes; 128 characters are 512 bytes at the most.
EVENT_KEY_PREFIX_LENGTH = 128


class EventKeyPrefix(models.Func):
    """As much of an EventKey as is indexed.

    The numbers stand in the statement rather than among its parameters, since SQLite uses an index
    on an expression only for the expression to the letter.
    """

    function = "SUBSTR"
    template = f"%(function)s(%(expressions)s, 1, {EVENT_KEY_PREFIX_LENGTH})"
    arity = 1
    output_field = models.TextField()


class EventLogQuerySet(models.QuerySet["EventLog"]):
    def deliver(self, event: EventLog) -> bool:
        """Inserts the row, or counts one more delivery of the row that has its key.

        One statement on both databases, so that the count is exact however many deliveries of one
        push race. Sets event.pk. Returns whether the row is new.
        """
        connection = connections[self.db]
        quote = connection.ops.quote_name
        table = quote(self.model._meta.db_table)
        fields = [field for field in self.model._meta.concrete_fields if not field.primary_key]
        columns = ", ".join(quote(field.attname) for field in fields)
        values = ", ".join(["%s"] * len(fields))
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                INSERT INTO {table} ({columns}) VALUES ({values})
                ON CONFLICT (account_id, dedup_key, event_time) DO UPDATE SET
                    delivery_count = {table}.delivery_count + 1,
                    last_delivered_at = CASE
                        WHEN excluded.last_delivered_at > {table}.last_delivered_at
                        THEN excluded.last_delivered_at ELSE {table}.last_delivered_at END
                RETURNING id, delivery_count
                """,
                [
                    field.get_db_prep_save(field.pre_save(event, True), connection)
                    for field in fields
                ],
            )
            event.pk, deliveries = cursor.fetchone()
        return bool(deliveries == 1)

    def same_push(self, event: EventLog) -> EventLogQuerySet:
        """The row that holds the same push as this unsaved one, if there is one."""
        return self.filter(
            account=event.account, dedup_key=event.dedup_key, event_time=event.event_time
        )

    def awaiting_outcome(self) -> EventLogQuerySet:
        return self.filter(status__in=[self.model.Status.RECEIVED, self.model.Status.FAILED])

    def due(self, now: datetime.datetime) -> EventLogQuerySet:
        """Rows a worker should take now, longest waiting first."""
        return self.filter(next_attempt_at__lte=now).order_by("next_attempt_at")

    def folded(self) -> EventLogQuerySet:
        return self.filter(folded_at__isnull=False)

    def newest_first(self) -> EventLogQuerySet:
        return self.order_by("-id")

    # The next four lead through partial indexes. PostgreSQL sees by itself that their condition
    # holds; SQLite wants to have it said.

    def with_status(self, status: str) -> EventLogQuerySet:
        if status == self.model.Status.PROCESSED:
            return self.filter(status=status)
        return self.filter(status=status).exclude(status=self.model.Status.PROCESSED)

    def with_openid(self, openid: str) -> EventLogQuerySet:
        return self.filter(openid=openid).exclude(openid="")

    def with_scene(self, scene: str) -> EventLogQuerySet:
        return self.filter(scene=scene).exclude(scene="")

    def with_event_key(self, event_key: str) -> EventLogQuerySet:
        """Rows with exactly this EventKey, found through the index on its prefix."""
        # Told that event_key equals a constant, SQLite puts that into the prefix expression too and
        # no longer sees its index in it: hence the pair of bounds.
        return (
            self.alias(event_key_prefix=EventKeyPrefix("event_key"))
            .filter(event_key_prefix=event_key[:EVENT_KEY_PREFIX_LENGTH])
            .filter(event_key__gte=event_key, event_key__lte=event_key)
            .exclude(event_key="")
        )

    def kinds(self) -> Iterator[str]:
        """The kinds that occur, in order: one index probe for each, however large the log."""
        kind = self.order_by("kind").values_list("kind", flat=True).first()
        while kind is not None:
            yield kind
            kind = (
                self.filter(kind__gt=kind).order_by("kind").values_list("kind", flat=True).first()
            )
