from __future__ import annotations

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import subscribers.qr_scene
from django.conf import settings
from django.db import migrations, models


# Scenes that are looked for in the log by one statement.
_BATCH = 500


def remember_scenes(apps, schema_editor):
    """Fills the table of seen scenes: from the followers, and what they do not know from the log.

    The followers are far fewer than the events, and know of those that retention removed. That a
    scene is in the log at all is read from its index alone.
    """
    Subscriber = apps.get_model("subscribers", "Subscriber")
    SeenScene = apps.get_model("subscribers", "SeenScene")
    first_seen = {}

    def note(account, scene, at):
        if at is not None and subscribers.qr_scene.is_scene(scene):
            first_seen[account, scene] = min(first_seen.get((account, scene), at), at)

    for column in ("first_scene", "last_scene"):
        scenes = Subscriber.objects.exclude(**{column: ""}).order_by()
        counted = scenes.values_list("account_id", column)
        for row in counted.annotate(at=models.Min(f"{column}_at")).iterator():
            note(*row)

    known = {scene for _account, scene in first_seen}
    log = apps.get_model("events", "EventLog").objects.exclude(scene="")
    scenes = log.order_by("scene").values_list("scene", flat=True).distinct()
    missing = [
        scene
        for scene in scenes.iterator()
        if scene not in known and subscribers.qr_scene.is_scene(scene)
    ]
    for start in range(0, len(missing), _BATCH):
        events = log.filter(
            scene__in=missing[start : start + _BATCH], folded_at__isnull=False
        ).order_by()
        for row in events.values_list("account_id", "scene").annotate(at=models.Min("event_time")):
            note(*row)
    SeenScene.objects.bulk_create(
        (
            SeenScene(account_id=account, scene=scene, first_seen_at=at)
            for (account, scene), at in sorted(first_seen.items())
        ),
        batch_size=1000,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0008_menu_versions"),
        ("subscribers", "0005_follower_syncs_and_profiles"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SceneTag",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=30,
                        unique=True,
                        validators=[subscribers.qr_scene.validate_tag],
                        verbose_name="name",
                    ),
                ),
            ],
            options={
                "verbose_name": "tag of QR codes",
                "verbose_name_plural": "tags of QR codes",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="SeenScene",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("scene", models.CharField(max_length=64, verbose_name="scene")),
                ("first_seen_at", models.DateTimeField(verbose_name="first seen")),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="seen_scenes",
                        to="events.officialaccount",
                        verbose_name="Official Account",
                    ),
                ),
            ],
            options={
                "verbose_name": "QR code made elsewhere",
                "verbose_name_plural": "QR codes made elsewhere",
                "constraints": [
                    models.UniqueConstraint(fields=("account", "scene"), name="seen_scene_once")
                ],
            },
        ),
        # Before anything that locks a table which callbacks write to.
        migrations.RunPython(remember_scenes, migrations.RunPython.noop),
        migrations.RemoveConstraint(
            model_name="qrscene",
            name="scene_permanent_or_expires",
        ),
        migrations.AddField(
            model_name="bindingrequest",
            name="attempts",
            field=models.PositiveIntegerField(default=0, editable=False, verbose_name="attempts"),
        ),
        # Nothing is to be fetched for the rows that are there: requests end within minutes, and
        # codes were made elsewhere.
        migrations.AddField(
            model_name="bindingrequest",
            name="due_at",
            field=models.DateTimeField(blank=True, default=None, null=True, verbose_name="due"),
        ),
        migrations.AlterField(
            model_name="bindingrequest",
            name="due_at",
            field=models.DateTimeField(
                blank=True, default=django.utils.timezone.now, null=True, verbose_name="due"
            ),
        ),
        migrations.AddField(
            model_name="bindingrequest",
            name="failed_at",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="failed"
            ),
        ),
        migrations.AddField(
            model_name="bindingrequest",
            name="failure",
            field=models.CharField(
                blank=True, default="", editable=False, max_length=64, verbose_name="failure"
            ),
        ),
        migrations.AddField(
            model_name="bindingrequest",
            name="failure_text",
            field=models.TextField(blank=True, default="", editable=False, verbose_name="reason"),
        ),
        migrations.AddField(
            model_name="bindingrequest",
            name="lease",
            field=models.CharField(blank=True, default="", editable=False, max_length=16),
        ),
        migrations.AddField(
            model_name="bindingrequest",
            name="leased_until",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="qrscene",
            name="attempts",
            field=models.PositiveIntegerField(default=0, editable=False, verbose_name="attempts"),
        ),
        # Nothing is to be fetched for the rows that are there: requests end within minutes, and
        # codes were made elsewhere.
        migrations.AddField(
            model_name="qrscene",
            name="due_at",
            field=models.DateTimeField(blank=True, default=None, null=True, verbose_name="due"),
        ),
        migrations.AlterField(
            model_name="qrscene",
            name="due_at",
            field=models.DateTimeField(
                blank=True, default=django.utils.timezone.now, null=True, verbose_name="due"
            ),
        ),
        migrations.AddField(
            model_name="qrscene",
            name="expire_seconds",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Of a temporary code, from each time it is fetched: at most 30 days.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(2592000),
                ],
                verbose_name="lifetime in seconds",
            ),
        ),
        migrations.AddField(
            model_name="qrscene",
            name="failed_at",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="failed"
            ),
        ),
        migrations.AddField(
            model_name="qrscene",
            name="failure",
            field=models.CharField(
                blank=True, default="", editable=False, max_length=64, verbose_name="failure"
            ),
        ),
        migrations.AddField(
            model_name="qrscene",
            name="failure_text",
            field=models.TextField(blank=True, default="", editable=False, verbose_name="reason"),
        ),
        migrations.AddField(
            model_name="qrscene",
            name="lease",
            field=models.CharField(blank=True, default="", editable=False, max_length=16),
        ),
        migrations.AddField(
            model_name="qrscene",
            name="leased_until",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="qrscene",
            name="name",
            field=models.CharField(
                max_length=100,
                validators=[subscribers.qr_scene.validate_one_line],
                verbose_name="name",
            ),
        ),
        migrations.AlterField(
            model_name="qrscene",
            name="scene",
            field=models.CharField(
                max_length=64,
                validators=[subscribers.qr_scene.validate_scene],
                verbose_name="scene",
            ),
        ),
        migrations.AddIndex(
            model_name="bindingrequest",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False)),
                fields=["due_at"],
                name="binding_request_due",
            ),
        ),
        migrations.AddField(
            model_name="qrscene",
            name="tags",
            field=models.ManyToManyField(
                blank=True, to="subscribers.scenetag", verbose_name="tags"
            ),
        ),
        migrations.AddIndex(
            model_name="qrscene",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="scene_due"
            ),
        ),
        migrations.AddIndex(
            model_name="qrscene",
            index=models.Index(
                condition=models.Q(("failure", ""), _negated=True),
                fields=["failure"],
                name="scene_failed",
            ),
        ),
        migrations.AddConstraint(
            model_name="qrscene",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("expire_seconds", None), ("expires_at", None), ("is_permanent", True)
                    ),
                    models.Q(("expires_at__isnull", False), ("is_permanent", False)),
                    models.Q(("expire_seconds__isnull", False), ("is_permanent", False)),
                    _connector="OR",
                ),
                name="scene_permanent_or_expires",
                violation_error_message="A scene is either permanent or has a time at which it expires.",
            ),
        ),
        migrations.AddConstraint(
            model_name="qrscene",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("expire_seconds", None),
                    models.Q(("expire_seconds__gte", 1), ("expire_seconds__lte", 2592000)),
                    _connector="OR",
                ),
                name="scene_lifetime",
            ),
        ),
    ]
