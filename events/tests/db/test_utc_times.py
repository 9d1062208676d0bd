"""Times are read as the driver and Django read them."""

from __future__ import annotations

import datetime

import pytest
from django.db import DataError, connection
from django.db.backends.postgresql.psycopg_any import register_tzloader

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]

WRITTEN = (
    "2026-11-01 12:30:00+00", "2026-11-01 12:30:00.5+00", "2026-11-01 12:30:00.123456+00",
    "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00", "2026-03-29 02:30:00+05:30",
    "1969-12-31 23:59:59.000001+00", "1890-01-01 00:00:00+00",
)  # fmt: skip
STATEMENT = "SELECT unnest(%s::timestamptz[])"


def test_every_time_is_read_as_django_reads_it():
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, [list(WRITTEN)])
        read = [moment for (moment,) in cursor.fetchall()]
    with connection.cursor() as cursor:
        register_tzloader(datetime.UTC, cursor.cursor)
        cursor.execute(STATEMENT, [list(WRITTEN)])
        assert [moment for (moment,) in cursor.fetchall()] == read
    assert {moment.tzinfo for moment in read} == {datetime.UTC}


@pytest.mark.parametrize("written", ["infinity", "20260-01-01 00:00:00+00"])
def test_what_python_has_no_time_for_is_an_error_as_before(written):
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, [[written]])
        with pytest.raises(DataError):
            cursor.fetchall()
