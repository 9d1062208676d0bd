"""The log's unique key begins with what grows.

While nobody can write, PostgreSQL builds an index (three million rows: 2 s) and SQLite copies the
table (one million: 23 s). With the copy must go the number of the last row, or the ids of rows that
were removed would be given again.
"""

from __future__ import annotations

from django.db import migrations, models

LOG = "events_eventlog"


def keep_last_id(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TABLE IF EXISTS temp.last_id")
        schema_editor.execute(
            "CREATE TEMPORARY TABLE last_id AS "
            f"SELECT name, seq FROM sqlite_sequence WHERE name = '{LOG}'"
        )


def restore_last_id(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(f"DELETE FROM sqlite_sequence WHERE name = '{LOG}'")
        schema_editor.execute("INSERT INTO sqlite_sequence (name, seq) SELECT * FROM temp.last_id")
        schema_editor.execute("DROP TABLE temp.last_id")


class Migration(migrations.Migration):
    dependencies = [("events", "0008_menu_versions")]

    operations = [
        migrations.RunPython(keep_last_id, restore_last_id),
        migrations.RemoveConstraint(model_name="eventlog", name="event_delivered_once"),
        migrations.AddConstraint(
            model_name="eventlog",
            constraint=models.UniqueConstraint(
                fields=("account", "event_time", "dedup_key"), name="event_delivered_once"
            ),
        ),
        migrations.RunPython(restore_last_id, keep_last_id),
    ]
