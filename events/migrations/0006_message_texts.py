"""The words of messages, and the index over their pairs of letters (events/search)."""

import django.db.models.deletion
from django.db import migrations, models


_ON_POSTGRESQL = (
    "ALTER TABLE events_messagetext ADD COLUMN grams integer[]",
    "CREATE INDEX message_text_grams ON events_messagetext USING gin (grams)",
)
_ON_SQLITE = (
    "CREATE VIRTUAL TABLE events_messagegrams USING fts5(grams, content = '', detail = none)",
)


def make_index(apps, schema_editor):
    is_sqlite = schema_editor.connection.vendor == "sqlite"
    for statement in _ON_SQLITE if is_sqlite else _ON_POSTGRESQL:
        schema_editor.execute(statement)


def drop_index(apps, schema_editor):
    # On PostgreSQL it goes with the table.
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TABLE events_messagegrams")


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0005_last_examination"),
    ]

    operations = [
        migrations.CreateModel(
            name="EventToIndex",
            fields=[
                ("event_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("event_time", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="MessageText",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "said",
                    models.CharField(
                        choices=[
                            ("f", "follower"),
                            ("r", "reply"),
                            ("m", "customer-service message"),
                        ],
                        max_length=1,
                        verbose_name="said by",
                    ),
                ),
                ("source_id", models.BigIntegerField()),
                ("event_time", models.DateTimeField(verbose_name="time")),
                ("openid", models.CharField(max_length=64, verbose_name="OpenID")),
                ("content", models.TextField(verbose_name="text")),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="events.officialaccount",
                        verbose_name="Official Account",
                    ),
                ),
            ],
            options={
                "verbose_name": "text of a message",
                "verbose_name_plural": "texts of messages",
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        fields=["account", "event_time", "id"], name="message_text_account"
                    ),
                    models.Index(fields=["event_time", "id"], name="message_text_time"),
                    models.Index(fields=["openid"], name="message_text_openid"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("said", "source_id"), name="message_text_once")
                ],
            },
        ),
        migrations.RunPython(make_index, drop_index),
    ]
