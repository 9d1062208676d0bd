"""Entries of the audit list: the database itself refuses to remove one, but for retention.

A later migration that makes the table anew, as SQLite's often do, loses the triggers: it has to run
guard() again, and that of 0001_initial.
"""

from django.db import migrations, models

_IS_ALLOWED = "EXISTS (SELECT 1 FROM events_auditremoval WHERE before > OLD.at)"
_ON_SQLITE = (
    "CREATE TRIGGER audit_kept BEFORE DELETE ON events_auditentry "
    f"WHEN NOT {_IS_ALLOWED} "
    "BEGIN SELECT RAISE(ABORT, 'audit entries are not removed'); END",
)
_ON_POSTGRESQL = (
    "CREATE FUNCTION audit_kept() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN IF {_IS_ALLOWED} THEN RETURN OLD; END IF; "
    "RAISE EXCEPTION 'audit entries are not removed'; END $$",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON events_auditentry "
    "FOR EACH ROW EXECUTE FUNCTION audit_kept()",
    "CREATE FUNCTION audit_not_truncated() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'audit entries are not removed'; END $$",
    "CREATE TRIGGER audit_not_truncated BEFORE TRUNCATE ON events_auditentry "
    "EXECUTE FUNCTION audit_not_truncated()",
)


def guard(apps, schema_editor):
    """Has the database refuse to remove an entry."""
    is_sqlite = schema_editor.connection.vendor == "sqlite"
    for statement in _ON_SQLITE if is_sqlite else _ON_POSTGRESQL:
        schema_editor.execute(statement)


def unguard(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER audit_kept")
        return
    for name in ("audit_kept", "audit_not_truncated"):
        schema_editor.execute(f"DROP TRIGGER {name} ON events_auditentry")
        schema_editor.execute(f"DROP FUNCTION {name}()")


class Migration(migrations.Migration):
    dependencies = [("events", "0002_partition_log_by_month")]

    operations = [
        migrations.CreateModel(
            name="AuditRemoval",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("before", models.DateTimeField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunPython(guard, unguard),
    ]
