from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from events.db.among import Among
from events.models import OfficialAccount, Series
from events.testing import make_account

pytestmark = pytest.mark.django_db


def test_it_finds_what_in_finds_and_postgresql_looks_the_values_up_first():
    mine, other = make_account("mine"), make_account("other")
    for account in (mine, other):
        for kind in ("text", "event.scan"):
            Series.objects.create(account=account, kind=kind, digest=kind)
    chosen = OfficialAccount.objects.filter(slug="mine").values("pk")
    with CaptureQueriesContext(connection) as queries:
        rows = Series.objects.filter(Among("account", chosen), kind="text")
        assert [(row.account_id, row.kind) for row in rows] == [(mine.pk, "text")]
    [query] = queries.captured_queries
    assert ("= ANY(ARRAY(SELECT" in query["sql"]) == (connection.vendor == "postgresql")
    assert Series.objects.filter(Among("account", chosen.none())).count() == 0
    everyone = OfficialAccount.objects.values("pk")
    assert Series.objects.filter(Among("account", everyone)).count() == 4
