"""Searching equals reading every text, on both databases, and asks the index alone."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.models import MessageText
from events.search.find import Span, find
from events.search.grams import folded, words_of
from events.search.index import Text, put, remove
from events.testing import make_account

FIRST = datetime.datetime(2026, 8, 30, tzinfo=datetime.UTC)
# Few letters, so that words occur; wide, capital and compound ones; what SQL might take for its own
LETTERS = "快递退货款换ＡaBﬁ12%_' \n"
texts = st.text(LETTERS, min_size=1, max_size=12)
days = st.integers(0, 90)
rows = st.lists(st.tuples(st.integers(0, 1), days, texts), max_size=25)


class SearchEqualsScan(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(rows, st.text(LETTERS, min_size=1, max_size=5), days, days, st.sampled_from([1, 3, 100]))
    def test_it_finds_what_a_full_scan_finds(self, rows, query, first, length, limit):
        accounts = [make_account("shop"), make_account("hats")]
        put(
            [
                Text(accounts[which].pk, "f", number, at(day), f"o{number % 3}", content)
                for number, (which, day, content) in enumerate(rows)
            ]
        )
        remove(MessageText.objects.filter(openid="o2"))
        for ids in ([accounts[0].pk], [account.pk for account in accounts]):
            span = Span(ids, at(first), at(first + length))
            expected = scan(query, span)
            found, place = [], None
            while page := find(query, span, limit=limit, before=place):
                assert len(page) <= limit
                found += [row.pk for row in page]
                place = page[-1].event_time, page[-1].pk
            assert found == expected


def at(day: int) -> datetime.datetime:
    return FIRST + datetime.timedelta(days=day)


def scan(query: str, span: Span) -> list[int]:
    words = words_of(query)
    found = MessageText.objects.filter(
        account__in=span.account_ids, event_time__gte=span.start, event_time__lt=span.end
    ).order_by("-event_time", "-pk")
    return [row.pk for row in found if words and all(word in folded(row.content) for word in words)]


@pytest.mark.django_db
def test_the_index_finds_the_candidates():
    account = make_account("shop")
    put(
        [
            Text(account.pk, "f", number, at(number % 60), "o1", f"第{number}件快递到哪里了")
            for number in range(3000)
        ]
    )
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert [row.content for row in find("2998件", Span([account.pk]), limit=5)] == [
            "第2998件快递到哪里了"
        ]
    (sql, *_more) = [q["sql"] for q in queries if "grams" in q["sql"]]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE events_messagetext")
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "message_text_grams" in plan
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = "\n".join(row[3] for row in cursor.fetchall())
            assert "VIRTUAL TABLE INDEX" in plan
            assert "SEARCH events_messagetext USING INTEGER PRIMARY KEY" in plan
