"""The log as Parquet."""

from __future__ import annotations

import datetime
import json

import pytest
from django.core.management import CommandError, call_command

from events.api.files import parquet
from events.binding_scenes import MASK, new_binding_scene
from events.db import keyset
from events.models import EventLog
from events.testing import make_account, message_xml

pyarrow_parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.django_db


def test_each_month_is_a_file_with_the_rows_of_the_list(tmp_path, monkeypatch):
    monkeypatch.setattr(keyset, "_PORTION", 3)
    monkeypatch.setattr(parquet, "_GROUP", 6)
    account = make_account(mode="plaintext")
    scene = new_binding_scene()
    begin = datetime.datetime(2026, 10, 30, tzinfo=datetime.UTC)
    for number in range(20):
        at = begin + number // 2 * datetime.timedelta(hours=6)
        EventLog.objects.create(
            account=account, kind="text", msg_type="text", openid="o1", event_time=at,
            received_at=at, last_delivered_at=at, dedup_key=f"{number:032x}", status="processed",
            scene=scene if number == 0 else "",
            raw=b"\xff" if number == 1 else message_xml("text", Content=f"第{number}", at=1),
        )  # fmt: skip
    call_command("export_events", "--to", str(tmp_path), verbosity=0)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["events-2026-10.parquet", "events-2026-11.parquet"]
    tables = [pyarrow_parquet.read_table(tmp_path / name) for name in files]
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["id"] for row in rows] == list(
        EventLog.objects.order_by("event_time", "pk").values_list("pk", flat=True)
    )
    assert rows[0]["event_time"] == begin
    assert (rows[0]["account"], rows[0]["scene"], rows[1]["payload"]) == ("shop", MASK, None)
    assert json.loads(rows[7]["payload"])["Content"] == "第7"
    assert max(row["event_time"].month for row in tables[0].to_pylist()) == 10
    call_command("export_events", "--to", str(tmp_path / "x"), "--month", "2026-11", verbosity=0)
    assert [path.name for path in (tmp_path / "x").iterdir()] == files[1:]
    with pytest.raises(CommandError, match="2026-11"):
        call_command("export_events", "--to", str(tmp_path), "--month", "November")
