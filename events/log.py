"""The log's own vocabulary: delivering a row, and the phrases its readers use."""

from __future__ import annotations

import datetime
import functools
import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connections, models

from events.months import Month
from events.upsert import Upsert
from events.wechat import EVENT_TYPES, kind_of

if TYPE_CHECKING:
    from events.models import EventLog

__all__ = ["EVENT_KEY_PREFIX_LENGTH", "EventKeyPrefix", "EventLogQuerySet"]

# The unique key of the log.
_KEY = ("account_id", "event_time", "dedup_key")

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


# What intake gives a new row; all else begins with its default.
_VALUES = (
    *("source", "msg_type", "event", "kind", "from_user", "openid", "event_key", "scene", "ticket"),
    *("msg_id", "received_at", "last_delivered_at", "delivery_count", "raw", "folded_at", "status"),
    *("next_attempt_at", "error", "processed_at", "duration_ms", "reply", "followed_at"),
)
_row_of = operator.attrgetter(*_KEY, *_VALUES)


class _Unindexed(models.Func):
    """A text as itself, but not for the planner, which so finds no index that begins with it."""

    template = "(%(expressions)s || '')"
    arity = 1
    output_field = models.CharField()


# Up to so many rows are quicker found and sorted than met on the way back from the newest.
_FEW = 1000


@functools.cache
def _delivery(model: type[EventLog]) -> Upsert:
    return Upsert(
        model,
        key=_KEY,
        values=_VALUES,
        update={
            "delivery_count": "old.delivery_count + excluded.delivery_count",
            "last_delivered_at": "{greatest}(old.last_delivered_at, excluded.last_delivered_at)",
        },
        returning=("id", "delivery_count"),
    )


class EventLogQuerySet(models.QuerySet["EventLog"]):
    def deliver(self, events: Sequence[EventLog]) -> list[bool]:
        """Inserts each row, or counts one more delivery of the row that has its key.

        In the order of the keys, so that processes that store the same pushes do not wait for each
        other in a circle; and in one step for each, so that the count is exact however many race.
        Sets the pk of each. Returns which of them are new: of one push that is there twice, one.
        """
        deliveries: dict[tuple[Any, ...], list[EventLog]] = {}
        for event in events:
            key = (event.account_id, event.event_time, event.dedup_key)
            deliveries.setdefault(key, []).append(event)
        pushes = [same for _, same in sorted(deliveries.items())]
        for same in pushes:
            same[0].delivery_count = len(same)
        stored = _delivery(self.model).execute(
            connections[self.db], [_row_of(same[0]) for same in pushes]
        )
        new: set[int] = set()
        for same, (pk, count) in zip(pushes, stored, strict=True):
            for event in same:
                event.pk = pk
            if count == len(same):
                new.add(id(same[0]))
        return [id(event) in new for event in events]

    def same_push(self, event: EventLog) -> EventLogQuerySet:
        """The row that holds the same push as this unsaved one, if there is one."""
        return self.filter(
            account=event.account_id, event_time=event.event_time, dedup_key=event.dedup_key
        )

    def with_key_of(self, event: EventLog) -> EventLogQuerySet:
        """That row. Its event_time leads PostgreSQL to the one partition that can hold it."""
        return self.filter(pk=event.pk, event_time=event.event_time)

    def only_key(self) -> EventLogQuerySet:
        return self.only("pk", "event_time")

    def awaiting_outcome(self) -> EventLogQuerySet:
        return self.filter(status__in=[self.model.Status.RECEIVED, self.model.Status.FAILED])

    def due(self, now: datetime.datetime) -> EventLogQuerySet:
        """Rows a worker should take now, longest waiting first."""
        return self.filter(next_attempt_at__lte=now).order_by("next_attempt_at")

    def folded(self) -> EventLogQuerySet:
        return self.filter(folded_at__isnull=False)

    def outside_base(self) -> EventLogQuerySet:
        """The rows that state is computed from, on top of what removed rows left in the base."""
        return self.folded().filter(in_base=False)

    def in_month(self, month: Month) -> EventLogQuerySet:
        return self.filter(event_time__gte=month.start, event_time__lt=month.end)

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
        rows = (
            self.alias(event_key_prefix=EventKeyPrefix("event_key"))
            .filter(event_key_prefix=event_key[:EVENT_KEY_PREFIX_LENGTH])
            .exclude(event_key="")
        )
        if len(event_key) < EVENT_KEY_PREFIX_LENGTH:
            return rows
        # Told that event_key equals a constant, SQLite puts that into the prefix expression too and
        # no longer sees its index in it: hence the pair of bounds.
        return rows.filter(event_key__gte=event_key, event_key__lte=event_key)

    def with_event(self, event: str) -> EventLogQuerySet:
        """Rows of this Event, in whatever letter case, found through the index on the kind."""
        wanted = (kind_of(msg_type, event) for msg_type in EVENT_TYPES)
        return self._of_kinds([kind for kind in wanted if self._has_kind(kind)])

    def with_msg_type(self, msg_type: str) -> EventLogQuerySet:
        """Rows of this MsgType, in whatever letter case, found through the index on the kind."""
        wanted = kind_of(msg_type)
        if wanted not in EVENT_TYPES:
            return self.filter(kind=wanted)
        every = self.kinds()
        return self._of_kinds(
            [kind for kind in every if kind == wanted or kind.startswith(f"{wanted}.")]
        )

    def _has_kind(self, kind: str) -> bool:
        return self.model._default_manager.filter(kind=kind).exists()

    def _of_kinds(self, kinds: list[str]) -> EventLogQuerySet:
        """Rows of several kinds. An index on the kind has the order of the ids for one kind alone,
        so few rows are sorted, and many are met by walking along the list."""
        if not kinds:
            return self.none()
        if len(kinds) == 1:
            return self.filter(kind=kinds[0])
        rows = self.model._default_manager.filter(kind__in=kinds).values_list("pk", flat=True)
        found = list(rows[: _FEW + 1])
        if len(found) <= _FEW:
            return self.filter(pk__in=found)
        return self.alias(any_kind=_Unindexed("kind")).filter(any_kind__in=kinds)

    def kinds(self) -> list[str]:
        """The kinds that occur, in order: one index probe for each, however large the log."""
        connection = connections[self.db]
        table = connection.ops.quote_name(self.model._meta.db_table)
        with connection.cursor() as cursor:
            # Neither database skips from one value of an index to the next by itself.
            cursor.execute(
                f"""
                WITH RECURSIVE kinds(kind) AS (
                    SELECT MIN(kind) FROM {table}
                    UNION ALL
                    SELECT (SELECT MIN(kind) FROM {table} WHERE kind > kinds.kind)
                    FROM kinds WHERE kinds.kind IS NOT NULL
                )
                SELECT kind FROM kinds WHERE kind IS NOT NULL
                """
            )
            return [kind for (kind,) in cursor.fetchall()]

    def months(self) -> Iterator[Month]:
        """The months that occur, account by account: one index probe for each, like kinds()."""
        accounts = self.model._meta.get_field("account").remote_field.model._default_manager
        for account in accounts.values_list("pk", flat=True):
            times = self.filter(account=account).order_by("event_time")
            moment = times.values_list("event_time", flat=True).first()
            while moment is not None:
                month = Month.of(moment)
                yield month
                later = times.filter(event_time__gte=month.end)
                moment = later.values_list("event_time", flat=True).first()
