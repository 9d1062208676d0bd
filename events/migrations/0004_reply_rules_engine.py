from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

_ON = {
    "event.subscribe": "follow",
    "event.scan": "scan",
    "event.click": "menu",
    "text": "message",
}


def carry_over(apps, schema_editor):
    """Gives the former rules their form: those without a key come after those with one."""
    rules = apps.get_model("events", "ReplyRule")
    versions = apps.get_model("events", "RuleVersion")
    content = {}
    rows = sorted(rules.objects.all(), key=lambda row: (row.account_id, row.key == "", row.pk))
    for row in rows:
        of_account = content.setdefault(row.account_id, [])
        on = _ON.get(row.kind, "message")
        trigger = {"on": on}
        if on == "message" and not row.key:
            trigger = {"on": "other", "kind": "text"}
        elif on == "message":
            trigger |= {"kind": "text", "how": "exact", "words": [row.key]}
        elif row.key:
            trigger["keys"] = [row.key]
        row.trigger = trigger
        row.answers = [{"kind": "text", "content": row.content}]
        row.name = (row.key or row.content)[:100]
        row.position = len(of_account) + 1
        row.save()
        of_account.append(
            {
                "id": row.pk,
                "name": row.name,
                "trigger": trigger,
                "conditions": {},
                "answers": row.answers,
                "choice": "all",
                "later": [],
                "is_on": row.is_active,
            }
        )
    for account_id, of_account in content.items():
        versions.objects.create(account_id=account_id, rules=of_account)


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("events", "0003_audit_removal"),
    ]

    operations = [
        migrations.CreateModel(
            name="RuleVersion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("rules", models.JSONField(default=list, verbose_name="reply rules")),
                (
                    "note",
                    models.CharField(
                        blank=True,
                        help_text="What is new; only operators see it.",
                        max_length=200,
                        verbose_name="note",
                    ),
                ),
                (
                    "is_live",
                    models.BooleanField(default=True, verbose_name="answers followers now"),
                ),
                ("published_at", models.DateTimeField(auto_now_add=True, verbose_name="published")),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rule_versions",
                        to="events.officialaccount",
                        verbose_name="Official Account",
                    ),
                ),
                (
                    "published_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="published by",
                    ),
                ),
            ],
            options={
                "verbose_name": "version of reply rules",
                "verbose_name_plural": "versions of reply rules",
                "ordering": ["-pk"],
                "permissions": [("publish_rules", "Can publish reply rules")],
                "indexes": [models.Index(fields=["account", "id"], name="rule_version_account")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_live", True)),
                        fields=("account",),
                        name="rule_version_one_live",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RuleHit",
            fields=[
                ("event_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("event_time", models.DateTimeField(db_index=True)),
                ("rule_id", models.BigIntegerField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["rule_id", "event_time"], name="rule_hit_by_rule")
                ],
            },
        ),
        migrations.RemoveConstraint(model_name="replyrule", name="reply_rule_one_per_key"),
        migrations.RemoveConstraint(model_name="replyrule", name="reply_rule_has_content"),
        migrations.AlterModelOptions(
            name="replyrule",
            options={
                "ordering": ["account", "position", "id"],
                "verbose_name": "reply rule",
                "verbose_name_plural": "reply rules",
            },
        ),
        migrations.RenameField(model_name="replyrule", old_name="trigger", new_name="kind"),
        migrations.AddField(
            model_name="replyrule",
            name="trigger",
            field=models.JSONField(default=dict, verbose_name="trigger"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="replyrule",
            name="position",
            field=models.PositiveIntegerField(default=0, verbose_name="place"),
        ),
        migrations.AddField(
            model_name="replyrule",
            name="name",
            field=models.CharField(default="", max_length=100, verbose_name="name"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="replyrule",
            name="conditions",
            field=models.JSONField(blank=True, default=dict, verbose_name="conditions"),
        ),
        migrations.AddField(
            model_name="replyrule",
            name="answers",
            field=models.JSONField(default=list, verbose_name="answers"),
        ),
        migrations.AddField(
            model_name="replyrule",
            name="choice",
            field=models.CharField(
                choices=[("all", "all"), ("one", "one at random")],
                default="all",
                max_length=3,
                verbose_name="of several answers",
            ),
        ),
        migrations.AddField(
            model_name="replyrule",
            name="later",
            field=models.JSONField(blank=True, default=list, verbose_name="messages afterwards"),
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.RemoveField(model_name="replyrule", name="kind"),
        migrations.RemoveField(model_name="replyrule", name="key"),
        migrations.RemoveField(model_name="replyrule", name="content"),
        migrations.AddIndex(
            model_name="replyrule",
            index=models.Index(fields=["account", "position"], name="reply_rule_order"),
        ),
    ]
