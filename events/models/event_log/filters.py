"""Filters of the log, each written so that both databases use its index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self, TypeVar

from django.db import connections, models

from events.models.account import OfficialAccount
from events.models.event_log.choices import USUAL_ANSWERS, AnsweredBy, Source, Status
from events.models.event_log.expressions import (
    EVENT_KEY_PREFIX_LENGTH,
    AnsweredLate,
    AnsweredUnusually,
    EventKeyPrefix,
    Unindexed,
)
from events.months import Month
from events.wechat import EVENT_TYPES, kind_of

# Up to this number of rows, sorting them is quicker than reading back from the newest row.
_FEW = 1000

Row = TypeVar("Row", bound=models.Model)


class IndexedFilters(models.QuerySet[Row]):
    def answered_by(self, way: str) -> Self:
        """Rows whose answer went this way; unusual ways are found through a partial index."""
        rows = self.filter(answered_by=way)
        return rows if way in USUAL_ANSWERS else rows.filter(AnsweredUnusually("answered_by"))

    def unanswered(self) -> Self:
        """Rows whose answer was made but has not reached the follower, or never will."""
        rows = self.filter(answered_by__in=[AnsweredBy.NONE, AnsweredBy.KEPT])
        return rows.filter(AnsweredUnusually("answered_by"))

    def answered_late(self) -> Self:
        """Rows whose answer was made after WeChat's first try had ended."""
        return self.filter(AnsweredLate("answered_at", "received_at"))

    # The next methods use partial indexes. PostgreSQL infers that the index's condition holds;
    # SQLite needs the condition in the query.

    def with_status(self, status: str) -> Self:
        if status == Status.PROCESSED:
            return self.filter(status=status)
        return self.filter(status=status).exclude(status=Status.PROCESSED)

    def with_statuses(self, statuses: Sequence[str]) -> Self:
        if len(statuses) == 1:
            return self.with_status(statuses[0])
        rows = self.filter(status__in=statuses)
        if Status.PROCESSED in statuses:
            return rows
        return rows.exclude(status=Status.PROCESSED)

    def with_sources(self, sources: Sequence[str]) -> Self:
        """Rows from any of these sources.

        Rows that are no pushes are found through their kinds, which begin with the source's name.
        """
        rows = self.filter(source__in=sources)
        if Source.CALLBACK in sources:
            return rows
        beginnings = tuple(f"{source}." for source in sources)
        return rows.with_kinds([kind for kind in self.kinds() if kind.startswith(beginnings)])

    def with_openid(self, openid: str) -> Self:
        return self.filter(openid=openid).exclude(openid="")

    def with_scene(self, scene: str) -> Self:
        return self.filter(scene=scene).exclude(scene="")

    def with_event_key(self, event_key: str) -> Self:
        """Rows with exactly this EventKey, found through the index on its prefix."""
        rows = (
            self.alias(event_key_prefix=EventKeyPrefix("event_key"))
            .filter(event_key_prefix=event_key[:EVENT_KEY_PREFIX_LENGTH])
            .exclude(event_key="")
        )
        if len(event_key) < EVENT_KEY_PREFIX_LENGTH:
            return rows
        # Use two bounds: with an equality SQLite would put the constant into the prefix expression
        # too, and then not recognize its index.
        return rows.filter(event_key__gte=event_key, event_key__lte=event_key)

    def with_event(self, event: str) -> Self:
        """Rows of this Event in any letter case, found through the index on the kind."""
        wanted = (kind_of(msg_type, event) for msg_type in EVENT_TYPES)
        return self.with_kinds([kind for kind in wanted if self._has_kind(kind)])

    def with_msg_type(self, msg_type: str) -> Self:
        """Rows of this MsgType in any letter case, found through the index on the kind."""
        wanted = kind_of(msg_type)
        if wanted not in EVENT_TYPES:
            return self.filter(kind=wanted)
        every = self.kinds()
        return self.with_kinds(
            [kind for kind in every if kind == wanted or kind.startswith(f"{wanted}.")]
        )

    def with_kinds(self, kinds: list[str]) -> Self:
        """Rows of any of these kinds.

        An index on the kind keeps the order of ids only within one kind. So the database sorts the
        rows if they are few, and reads along the list if they are many.
        """
        if not kinds:
            return self.none()
        if len(kinds) == 1:
            return self.filter(kind=kinds[0])
        rows = self.model._default_manager.filter(kind__in=kinds).values_list("pk", flat=True)
        found = list(rows[: _FEW + 1])
        if len(found) <= _FEW:
            return self.filter(pk__in=found)
        return self.alias(any_kind=Unindexed("kind")).filter(any_kind__in=kinds)

    def _has_kind(self, kind: str) -> bool:
        return self.model._default_manager.filter(kind=kind).exists()

    def kinds(self) -> list[str]:
        """The kinds that occur, in order. It needs one index probe for each, in any log."""
        connection = connections[self.db]
        table = connection.ops.quote_name(self.model._meta.db_table)
        with connection.cursor() as cursor:
            # Neither database jumps from one value of an index to the next without this recursion.
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
        """The months that occur, account by account, with one index probe for each."""
        for account in OfficialAccount.objects.values_list("pk", flat=True):
            times = self.filter(account=account).order_by("event_time")
            moment = times.values_list("event_time", flat=True).first()
            while moment is not None:
                month = Month.of(moment)
                yield month
                later = times.filter(event_time__gte=month.end)
                moment = later.values_list("event_time", flat=True).first()
