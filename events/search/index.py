"""Writes and removes texts with their pairs of letters, on both databases.

PostgreSQL keeps the pairs in a column of the table, with a GIN index. SQLite keeps them in an FTS5
table without contents. That takes a seventh of the space, but needs the pairs again to remove a
row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from events.models import MessageText
from events.months import Month
from events.search.grams import folded, grams

__all__ = ["GRAMS_TABLE", "Text", "put", "remove", "token"]

GRAMS_TABLE = "events_messagegrams"
_TABLE = MessageText._meta.db_table
_AT_ONCE = 1000
_NAMES = ("account_id", "said", "source_id", "event_time", "openid", "content")


@dataclass(frozen=True, slots=True)
class Text:
    """One text to index, with the columns of MessageText."""

    account_id: int
    said: str
    source_id: int
    event_time: datetime
    openid: str
    content: str

    @property
    def grams(self) -> list[int]:
        return grams(folded(self.content), self.account_id, Month.of(self.event_time))


def token(gram: int) -> str:
    """Returns a pair's number as a word of the FTS5 table."""
    return f"{gram & 0xFFFFFFFF:08x}"


def put(texts: Sequence[Text]) -> None:
    """Stores these texts. If a source has a text already, that one stays."""
    texts = [text for text in texts if text.content.strip()]
    if not texts:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        columns = ", ".join(_NAMES)
        if connection.vendor == "postgresql":
            cursor.executemany(
                f"INSERT INTO {_TABLE} ({columns}, grams) VALUES (%s, %s, %s, %s, %s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                [(*_values(text), text.grams) for text in texts],
            )
            return
        for text in texts:
            cursor.execute(
                f"INSERT INTO {_TABLE} ({columns}) VALUES (%s, %s, %s, %s, %s, %s) "
                "ON CONFLICT DO NOTHING RETURNING id",
                _values(text),
            )
            if new := cursor.fetchone():
                cursor.execute(
                    f"INSERT INTO {GRAMS_TABLE} (rowid, grams) VALUES (%s, %s)",
                    [new[0], _tokens(text.grams)],
                )


def remove(texts: QuerySet[MessageText]) -> int:
    """Removes these texts, also from the index; returns how many."""
    if connection.vendor == "postgresql":
        return texts.delete()[0]
    removed = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            rows = list(texts.order_by("pk")[:_AT_ONCE])
            cursor.executemany(
                f"INSERT INTO {GRAMS_TABLE} ({GRAMS_TABLE}, rowid, grams) "
                "VALUES ('delete', %s, %s)",
                [(row.pk, _tokens(_text_of(row).grams)) for row in rows],
            )
            MessageText.objects.filter(pk__in=[row.pk for row in rows]).delete()
        removed += len(rows)
        if len(rows) < _AT_ONCE:
            return removed


def _text_of(row: MessageText) -> Text:
    return Text(row.account_id, row.said, row.source_id, row.event_time, row.openid, row.content)


def _values(text: Text) -> list[Any]:
    at = connection.ops.adapt_datetimefield_value(text.event_time)
    return [text.account_id, text.said, text.source_id, at, text.openid, text.content]


def _tokens(found: Sequence[int]) -> str:
    return " ".join(map(token, found))
