import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import events.models.fields
import events.models.media_file
import subscribers.models.hour
import subscribers.models.scene
import subscribers.models.webhook
from django.conf import settings
from django.db import migrations, models

from events.db.schema.create_models import CreateModels


def leave_room_for_updates(apps, schema_editor):
    """PostgreSQL then writes a follower's next version onto the same page, and into no index."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE subscribers_subscriber SET (fillfactor = 85)")


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("events", "0001_initial"),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="ProfileFetch",
                fields=[
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    (
                        "account",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            primary_key=True,
                            related_name="profile_fetch",
                            serialize=False,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "profile fetch",
                    "verbose_name_plural": "profile fetches",
                },
            ),
            migrations.CreateModel(
                name="PseudonymKey",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("key", events.models.fields.EncryptedTextField(editable=False)),
                ],
            ),
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
                            validators=[subscribers.models.scene.validate_tag],
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
                name="CarriedOverState",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "first_followed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="first followed"),
                    ),
                    (
                        "last_followed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="last followed"),
                    ),
                    (
                        "last_unfollowed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="last unfollowed"),
                    ),
                    (
                        "last_seen_at",
                        models.DateTimeField(
                            blank=True,
                            help_text="The last proof of following: an act that only a follower can do, such as a message, a menu click or a scan, or an answer from WeChat.",
                            null=True,
                            verbose_name="last seen",
                        ),
                    ),
                    (
                        "follow_count",
                        models.PositiveIntegerField(default=0, verbose_name="follows"),
                    ),
                    (
                        "unfollow_count",
                        models.PositiveIntegerField(default=0, verbose_name="unfollows"),
                    ),
                    ("event_count", models.PositiveIntegerField(default=0, verbose_name="events")),
                    (
                        "first_scene",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="The scene of the first follow or scan of a QR code; binding codes do not count.",
                            max_length=64,
                            verbose_name="first scene",
                        ),
                    ),
                    ("first_scene_at", models.DateTimeField(blank=True, null=True)),
                    ("first_scene_key", models.CharField(blank=True, default="", max_length=32)),
                    (
                        "last_scene",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="The scene of the last follow or scan of a QR code; binding codes do not count.",
                            max_length=64,
                            verbose_name="last scene",
                        ),
                    ),
                    ("last_scene_at", models.DateTimeField(blank=True, null=True)),
                    ("last_scene_key", models.CharField(blank=True, default="", max_length=32)),
                    ("openid", models.CharField(max_length=64)),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "openid"), name="subscriber_base_one_per_openid"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Erasure",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    (
                        "openid",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False, verbose_name="OpenID"
                        ),
                    ),
                    ("openid_digest", models.CharField(editable=False, max_length=64)),
                    (
                        "pseudonym",
                        models.CharField(max_length=64, unique=True, verbose_name="pseudonym"),
                    ),
                    (
                        "reason",
                        models.CharField(
                            choices=[
                                ("requested", "asked for by the person"),
                                ("revoked", "authorization withdrawn"),
                                ("cancelled", "WeChat account closed"),
                                ("unfollowed", "unfollowed long ago"),
                            ],
                            max_length=20,
                            verbose_name="erased because",
                        ),
                    ),
                    ("requested_at", models.DateTimeField(verbose_name="requested")),
                    (
                        "erased_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="erased"),
                    ),
                    (
                        "counts",
                        models.JSONField(blank=True, default=dict, verbose_name="changed rows"),
                    ),
                    (
                        "digest",
                        models.CharField(
                            blank=True,
                            default="",
                            max_length=64,
                            verbose_name="digest of the receipt",
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="erasures",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "requested_by",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                            verbose_name="requested by",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "erasure",
                    "verbose_name_plural": "erasures",
                    "indexes": [
                        models.Index(fields=["openid_digest"], name="erasure_digest"),
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="erasure_due",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("erased_at", None)),
                            fields=("account", "openid_digest"),
                            name="erasure_one_open",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("erased_at", None), ("openid", ""), _connector="OR"
                            ),
                            name="erasure_forgets_openid",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="FollowerSync",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("listing", "reading WeChat's list"),
                                ("comparing", "asking for followers who are not on it"),
                                ("finished", "finished"),
                                ("abandoned", "replaced by a later one"),
                            ],
                            default="listing",
                            max_length=10,
                            verbose_name="status",
                        ),
                    ),
                    (
                        "origin",
                        models.CharField(
                            choices=[
                                ("schedule", "every night"),
                                ("operator", "an operator"),
                                ("command", "the command line"),
                            ],
                            max_length=10,
                            verbose_name="requested by",
                        ),
                    ),
                    ("requested_at", models.DateTimeField(verbose_name="requested")),
                    (
                        "started_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="started"),
                    ),
                    (
                        "finished_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="ended at"),
                    ),
                    (
                        "next_openid",
                        models.CharField(blank=True, default="", editable=False, max_length=64),
                    ),
                    (
                        "taken_to",
                        models.CharField(blank=True, default="", editable=False, max_length=64),
                    ),
                    ("read", models.BigIntegerField(default=0, editable=False)),
                    ("last_subscriber", models.BigIntegerField(default=0, editable=False)),
                    (
                        "total",
                        models.PositiveIntegerField(
                            blank=True, null=True, verbose_name="followers by WeChat's count"
                        ),
                    ),
                    ("seen", models.PositiveIntegerField(default=0, verbose_name="seen")),
                    ("new", models.PositiveIntegerField(default=0, verbose_name="new")),
                    (
                        "missed_follows",
                        models.PositiveIntegerField(default=0, verbose_name="missed follows"),
                    ),
                    (
                        "missed_unfollows",
                        models.PositiveIntegerField(default=0, verbose_name="missed unfollows"),
                    ),
                    ("unchanged", models.PositiveIntegerField(default=0, verbose_name="unchanged")),
                    ("left", models.PositiveIntegerField(default=0, verbose_name="left meanwhile")),
                    (
                        "unknown",
                        models.PositiveIntegerField(
                            default=0, verbose_name="OpenIDs that WeChat does not know"
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="follower_syncs",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "requested_by",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                            verbose_name="user",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "follower sync",
                    "verbose_name_plural": "follower syncs",
                    "indexes": [
                        models.Index(fields=["account", "id"], name="follower_sync_account"),
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="follower_sync_due",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("state__in", ["listing", "comparing"])),
                            fields=("account",),
                            name="follower_sync_one_open",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("finished_at", None), ("state__in", ["listing", "comparing"])
                                ),
                                models.Q(
                                    ("due_at", None),
                                    ("finished_at__isnull", False),
                                    ("state__in", ["finished", "abandoned"]),
                                ),
                                _connector="OR",
                            ),
                            name="follower_sync_end",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="FollowingChange",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("period", models.CharField(max_length=1)),
                    ("start", models.DateTimeField()),
                    ("more", models.BigIntegerField(default=0)),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "period", "start"), name="following_change_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="FollowingInterval",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("openid", models.CharField(max_length=64)),
                    ("started_at", models.DateTimeField()),
                    ("ended_at", models.DateTimeField(null=True)),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("openid", "account", "started_at"),
                            name="following_interval_once",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("ended_at", None),
                                ("ended_at__gt", models.F("started_at")),
                                _connector="OR",
                            ),
                            name="following_interval_lasts",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="SceneAct",
                fields=[
                    ("event_id", models.BigIntegerField(primary_key=True, serialize=False)),
                    ("at", models.DateTimeField()),
                    ("scene", models.CharField(max_length=64)),
                    ("openid", models.CharField(max_length=64)),
                    ("is_follow", models.BooleanField()),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                        ),
                    ),
                    ("former_at", models.DateTimeField(null=True)),
                    ("former_follow_at", models.DateTimeField(null=True)),
                    ("is_bound", models.BooleanField(default=False)),
                    ("is_first", models.BooleanField(default=False)),
                    ("is_following", models.BooleanField(default=False)),
                    ("stayed", models.IntegerField(default=-1, null=True)),
                ],
                options={
                    "indexes": [
                        models.Index(
                            fields=["account", "at", "scene", "openid", "is_follow"],
                            name="scene_act_by_time",
                        ),
                        models.Index(fields=["openid"], name="scene_act_openid"),
                        models.Index(
                            condition=models.Q(("former_at", None), _negated=True),
                            fields=["account", "former_at"],
                            name="scene_act_again",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="QRScene",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    (
                        "scene",
                        models.CharField(
                            max_length=64,
                            validators=[subscribers.models.scene.validate_scene],
                            verbose_name="scene",
                        ),
                    ),
                    (
                        "name",
                        models.CharField(
                            max_length=100,
                            validators=[subscribers.models.scene.validate_one_line],
                            verbose_name="name",
                        ),
                    ),
                    ("note", models.TextField(blank=True, default="", verbose_name="note")),
                    ("is_permanent", models.BooleanField(default=True, verbose_name="permanent")),
                    (
                        "expire_seconds",
                        models.PositiveIntegerField(
                            blank=True,
                            help_text="For a temporary code, counted from each time it is fetched: at most 30 days.",
                            null=True,
                            validators=[
                                django.core.validators.MinValueValidator(1),
                                django.core.validators.MaxValueValidator(2592000),
                            ],
                            verbose_name="lifetime in seconds",
                        ),
                    ),
                    (
                        "expires_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="expires"),
                    ),
                    ("ticket", models.TextField(blank=True, default="", verbose_name="Ticket")),
                    ("url", models.TextField(blank=True, default="", verbose_name="URL")),
                    ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="scenes",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "tags",
                        models.ManyToManyField(
                            blank=True, to="subscribers.scenetag", verbose_name="tags"
                        ),
                    ),
                    (
                        "follower_tags",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="WeChat's tags (标签), separated by commas. The worker puts them on who follows by this code or scans it.",
                            max_length=200,
                            verbose_name="tags for who comes",
                        ),
                    ),
                    (
                        "group",
                        models.CharField(
                            blank=True,
                            db_index=True,
                            default="",
                            help_text="Codes of one group are compared and added up.",
                            max_length=60,
                            validators=[subscribers.models.scene.validate_one_line],
                            verbose_name="group",
                        ),
                    ),
                    (
                        "logo",
                        models.ForeignKey(
                            blank=True,
                            help_text="A picture of the media library, drawn in the middle of the code.",
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to="events.mediafile",
                            verbose_name="logo",
                        ),
                    ),
                    (
                        "owner",
                        models.CharField(
                            blank=True,
                            default="",
                            max_length=60,
                            validators=[subscribers.models.scene.validate_one_line],
                            verbose_name="person in charge",
                        ),
                    ),
                    (
                        "runs_from",
                        models.DateField(blank=True, null=True, verbose_name="runs from"),
                    ),
                    (
                        "runs_until",
                        models.DateField(
                            blank=True,
                            help_text="Outside these days nobody gets its tags; the picture works all the same.",
                            null=True,
                            verbose_name="runs until",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "QR code",
                    "verbose_name_plural": "QR codes",
                    "indexes": [
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="scene_due",
                        ),
                        models.Index(
                            condition=models.Q(("failure", ""), _negated=True),
                            fields=["failure"],
                            name="scene_failed",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "scene"), name="scene_one_per_account"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("expire_seconds", None),
                                    ("expires_at", None),
                                    ("is_permanent", True),
                                ),
                                models.Q(("expires_at__isnull", False), ("is_permanent", False)),
                                models.Q(
                                    ("expire_seconds__isnull", False), ("is_permanent", False)
                                ),
                                _connector="OR",
                            ),
                            name="scene_permanent_or_expires",
                            violation_error_message="A QR code is either permanent or has a time at which it expires.",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("expire_seconds", None),
                                models.Q(
                                    ("expire_seconds__gte", 1), ("expire_seconds__lte", 2592000)
                                ),
                                _connector="OR",
                            ),
                            name="scene_lifetime",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("scene", ""), _negated=True),
                                models.Q(("scene__startswith", "qrscene_"), _negated=True),
                                models.Q(("scene__startswith", "bind-"), _negated=True),
                            ),
                            name="scene_not_a_prefix",
                            violation_error_message="A scene must not be empty, nor begin with qrscene_ or bind-.",
                        ),
                    ],
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
            migrations.CreateModel(
                name="Subscriber",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "first_followed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="first followed"),
                    ),
                    (
                        "last_followed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="last followed"),
                    ),
                    (
                        "last_unfollowed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="last unfollowed"),
                    ),
                    (
                        "last_seen_at",
                        models.DateTimeField(
                            blank=True,
                            help_text="The last proof of following: an act that only a follower can do, such as a message, a menu click or a scan, or an answer from WeChat.",
                            null=True,
                            verbose_name="last seen",
                        ),
                    ),
                    (
                        "follow_count",
                        models.PositiveIntegerField(default=0, verbose_name="follows"),
                    ),
                    (
                        "unfollow_count",
                        models.PositiveIntegerField(default=0, verbose_name="unfollows"),
                    ),
                    ("event_count", models.PositiveIntegerField(default=0, verbose_name="events")),
                    (
                        "first_scene",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="The scene of the first follow or scan of a QR code; binding codes do not count.",
                            max_length=64,
                            verbose_name="first scene",
                        ),
                    ),
                    ("first_scene_at", models.DateTimeField(blank=True, null=True)),
                    ("first_scene_key", models.CharField(blank=True, default="", max_length=32)),
                    (
                        "last_scene",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="The scene of the last follow or scan of a QR code; binding codes do not count.",
                            max_length=64,
                            verbose_name="last scene",
                        ),
                    ),
                    ("last_scene_at", models.DateTimeField(blank=True, null=True)),
                    ("last_scene_key", models.CharField(blank=True, default="", max_length=32)),
                    ("openid", models.CharField(max_length=64, verbose_name="OpenID")),
                    (
                        "is_following",
                        models.GeneratedField(
                            db_persist=True,
                            expression=models.Case(
                                models.When(
                                    models.Q(
                                        ("last_unfollowed_at__isnull", True),
                                        models.Q(
                                            ("last_followed_at__isnull", False),
                                            ("last_seen_at__isnull", False),
                                            _connector="OR",
                                        ),
                                    ),
                                    then=models.Value(True),
                                ),
                                models.When(
                                    last_followed_at__gt=models.F("last_unfollowed_at"),
                                    then=models.Value(True),
                                ),
                                models.When(
                                    last_seen_at__gt=models.F("last_unfollowed_at"),
                                    then=models.Value(True),
                                ),
                                default=models.Value(False),
                            ),
                            output_field=models.BooleanField(),
                            verbose_name="following",
                        ),
                    ),
                    (
                        "unionid",
                        models.CharField(
                            blank=True, default="", max_length=64, verbose_name="UnionID"
                        ),
                    ),
                    (
                        "language",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="The language of replies; empty: the site's language.",
                            max_length=16,
                            verbose_name="language",
                        ),
                    ),
                    (
                        "remark",
                        models.CharField(
                            blank=True, default="", max_length=100, verbose_name="remark"
                        ),
                    ),
                    (
                        "subscribe_scene",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="How the last follow came about, as WeChat says it (subscribe_scene).",
                            max_length=64,
                            verbose_name="way of following",
                        ),
                    ),
                    (
                        "qr_scene",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="The scene of the last follow, as WeChat says it (qr_scene_str).",
                            max_length=64,
                            verbose_name="scene by WeChat",
                        ),
                    ),
                    (
                        "tag_ids",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="The numbers of the follower's tags, separated by commas.",
                            max_length=255,
                            verbose_name="tags (标签)",
                        ),
                    ),
                    (
                        "profile_synced_at",
                        models.DateTimeField(
                            blank=True,
                            help_text="When WeChat was last asked for the profile.",
                            null=True,
                            verbose_name="profile synced",
                        ),
                    ),
                    (
                        "refresh_requested_at",
                        models.DateTimeField(
                            blank=True, null=True, verbose_name="refresh requested"
                        ),
                    ),
                    ("listed_in", models.BigIntegerField(blank=True, editable=False, null=True)),
                    (
                        "erased_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="erased"
                        ),
                    ),
                    ("updated_at", models.DateTimeField(verbose_name="updated")),
                    (
                        "updated_hour",
                        models.GeneratedField(
                            db_persist=True,
                            expression=subscribers.models.hour.Hour("updated_at"),
                            output_field=models.DateTimeField(),
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="subscribers",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "follower",
                    "verbose_name_plural": "followers",
                    "permissions": [
                        ("export_personal_data", "Can export all that is known of a follower"),
                        ("erase_personal_data", "Can erase a follower for ever"),
                    ],
                    "indexes": [
                        models.Index(fields=["openid"], name="subscriber_openid"),
                        models.Index(
                            fields=["account", "id", "is_following"], name="subscriber_account"
                        ),
                        models.Index(
                            condition=models.Q(("is_following", False)),
                            fields=["id"],
                            name="subscriber_left",
                        ),
                        models.Index(
                            fields=["last_followed_at", "id", "account"],
                            name="subscriber_followed_at",
                        ),
                        models.Index(
                            fields=["account", "last_unfollowed_at"], name="subscriber_unfollowed"
                        ),
                        models.Index(
                            condition=models.Q(("first_scene", ""), _negated=True),
                            fields=["first_scene", "id", "account", "is_following"],
                            name="subscriber_first_poster",
                        ),
                        models.Index(
                            condition=models.Q(("last_scene", ""), _negated=True),
                            fields=["last_scene", "id"],
                            name="subscriber_last_poster",
                        ),
                        models.Index(
                            condition=models.Q(("unionid", ""), _negated=True),
                            fields=["unionid", "id"],
                            name="subscriber_unionid",
                        ),
                        models.Index(fields=["updated_hour", "id"], name="subscriber_updated"),
                        models.Index(
                            condition=models.Q(("refresh_requested_at__isnull", False)),
                            fields=["account", "refresh_requested_at"],
                            name="subscriber_refresh",
                        ),
                        models.Index(
                            condition=models.Q(("is_following", True), ("profile_synced_at", None)),
                            fields=["account", "id"],
                            name="subscriber_no_profile",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "openid"), name="subscriber_one_per_openid"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Binding",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("bound_at", models.DateTimeField(verbose_name="bound")),
                    (
                        "unbound_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="unbound"),
                    ),
                    ("event_id", models.BigIntegerField(verbose_name="event")),
                    ("event_time", models.DateTimeField(verbose_name="event time")),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="wechat_bindings",
                            to=settings.AUTH_USER_MODEL,
                            verbose_name="user",
                        ),
                    ),
                    (
                        "subscriber",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="bindings",
                            to="subscribers.subscriber",
                            verbose_name="follower",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "binding",
                    "verbose_name_plural": "bindings",
                    "indexes": [
                        models.Index(fields=["bound_at", "id"], name="binding_bound_at"),
                        models.Index(
                            condition=models.Q(("unbound_at__isnull", False)),
                            fields=["unbound_at", "id"],
                            name="binding_unbound_at",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("unbound_at", None)),
                            fields=("subscriber",),
                            name="binding_one_per_subscriber",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("unbound_at", None)),
                            fields=("account", "user"),
                            name="binding_one_per_user",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="BindingRequest",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    ("scene_digest", models.CharField(editable=False, max_length=64, unique=True)),
                    (
                        "scene",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False, verbose_name="scene"
                        ),
                    ),
                    (
                        "ticket",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False, verbose_name="Ticket"
                        ),
                    ),
                    (
                        "url",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False, verbose_name="URL"
                        ),
                    ),
                    ("created_at", models.DateTimeField(verbose_name="created")),
                    ("expires_at", models.DateTimeField(verbose_name="expires")),
                    (
                        "completed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="completed"),
                    ),
                    (
                        "refused_reason",
                        models.CharField(
                            blank=True,
                            choices=[
                                ("unknown", "no such binding code"),
                                ("expired", "the code had expired"),
                                ("used", "the code was already used"),
                                ("withdrawn", "a newer code had replaced it"),
                                ("wrong_account", "scanned under another Official Account"),
                                ("follower_bound", "this WeChat is bound to another user"),
                                ("user_bound", "this user is bound to another WeChat"),
                                ("user_inactive", "the user may not sign in"),
                                ("too_many", "too many wrong codes before"),
                                ("declined", "the follower declined"),
                                ("not_bound", "this WeChat is bound to no user"),
                            ],
                            default="",
                            max_length=20,
                            verbose_name="refused because",
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "binding",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="requests",
                            to="subscribers.binding",
                            verbose_name="binding",
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="wechat_binding_requests",
                            to=settings.AUTH_USER_MODEL,
                            verbose_name="user",
                        ),
                    ),
                    (
                        "code",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False, verbose_name="code"
                        ),
                    ),
                    (
                        "code_digest",
                        models.CharField(editable=False, max_length=64, null=True, unique=True),
                    ),
                    (
                        "way",
                        models.CharField(
                            choices=[
                                ("scan", "by scanning a QR code"),
                                ("code", "by sending a code"),
                            ],
                            default="scan",
                            max_length=4,
                            verbose_name="way",
                        ),
                    ),
                    (
                        "asked",
                        models.ForeignKey(
                            editable=False,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to="subscribers.subscriber",
                        ),
                    ),
                    ("asked_at", models.DateTimeField(editable=False, null=True)),
                ],
                options={
                    "verbose_name": "binding request",
                    "verbose_name_plural": "binding requests",
                    "indexes": [
                        models.Index(
                            condition=models.Q(("completed_at", None), ("refused_reason", "")),
                            fields=["expires_at"],
                            name="binding_request_open",
                        ),
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="binding_request_due",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("completed_at", None), ("refused_reason", "")),
                            fields=("account", "user"),
                            name="binding_request_one_open",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("completed_at", None), ("refused_reason", ""), _connector="OR"
                            ),
                            name="binding_request_one_outcome",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("completed_at", None), ("refused_reason", "")),
                                models.Q(("code", ""), ("scene", ""), ("ticket", ""), ("url", "")),
                                _connector="OR",
                            ),
                            name="binding_request_wiped",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="OutgoingMessage",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    ("kind", models.CharField(max_length=20, verbose_name="kind")),
                    ("payload", models.JSONField(verbose_name="content")),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("queued", "queued"),
                                ("sending", "being sent"),
                                ("sent", "sent"),
                                ("failed", "failed"),
                                ("unknown", "maybe sent"),
                            ],
                            default="queued",
                            max_length=10,
                            verbose_name="status",
                        ),
                    ),
                    (
                        "event_id",
                        models.BigIntegerField(blank=True, null=True, verbose_name="event"),
                    ),
                    (
                        "event_time",
                        models.DateTimeField(blank=True, null=True, verbose_name="event time"),
                    ),
                    ("window_until", models.DateTimeField(verbose_name="deliverable until")),
                    (
                        "created_at",
                        models.DateTimeField(
                            default=django.utils.timezone.now, verbose_name="created"
                        ),
                    ),
                    ("sent_at", models.DateTimeField(blank=True, null=True, verbose_name="sent")),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="outgoing_messages",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "created_by",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                            verbose_name="written by",
                        ),
                    ),
                    (
                        "subscriber",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="outgoing_messages",
                            to="subscribers.subscriber",
                            verbose_name="follower",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "outgoing message",
                    "verbose_name_plural": "outgoing messages",
                    "indexes": [
                        models.Index(fields=["account", "id"], name="outgoing_account"),
                        models.Index(fields=["subscriber", "id"], name="outgoing_subscriber"),
                        models.Index(fields=["created_at", "id"], name="outgoing_created"),
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="outgoing_due",
                        ),
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["window_until"],
                            name="outgoing_urgent",
                        ),
                        models.Index(
                            condition=models.Q(("state", "sent"), _negated=True),
                            fields=["state", "id"],
                            name="outgoing_state",
                        ),
                        models.Index(
                            condition=models.Q(
                                ("due_at", None), models.Q(("failure", ""), _negated=True)
                            ),
                            fields=["failed_at", "failure"],
                            name="outgoing_failed",
                        ),
                        models.Index(
                            condition=models.Q(("sent_at__isnull", False)),
                            fields=["account", "state", "sent_at", "subscriber"],
                            name="outgoing_sent",
                        ),
                    ],
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("due_at__isnull", False), ("state__in", ["queued", "sending"])
                                ),
                                models.Q(
                                    ("due_at", None), ("state__in", ["sent", "failed", "unknown"])
                                ),
                                _connector="OR",
                            ),
                            name="outgoing_state",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("state__in", ["queued", "failed"]),
                                ("sent_at__isnull", False),
                                _connector="OR",
                            ),
                            name="outgoing_sent_at",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("state__in", ["failed", "unknown"]), _negated=True),
                                models.Q(("failure", ""), _negated=True),
                                _connector="OR",
                            ),
                            name="outgoing_reason",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="Conversation",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("last_at", models.DateTimeField(verbose_name="last message")),
                    ("last_kind", models.CharField(blank=True, default="", max_length=64)),
                    ("last_text", models.CharField(blank=True, default="", max_length=120)),
                    (
                        "waiting_since",
                        models.DateTimeField(blank=True, null=True, verbose_name="waiting since"),
                    ),
                    (
                        "window_until",
                        models.DateTimeField(blank=True, null=True, verbose_name="window closes"),
                    ),
                    ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended")),
                    ("is_done", models.BooleanField(default=False, verbose_name="done")),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "assigned_to",
                        models.ForeignKey(
                            blank=True,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                            verbose_name="assigned to",
                        ),
                    ),
                    (
                        "subscriber",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="conversation",
                            to="subscribers.subscriber",
                            verbose_name="follower",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "conversation",
                    "verbose_name_plural": "conversations",
                    "default_permissions": ("view", "change"),
                    "indexes": [
                        models.Index(fields=["last_at", "id"], name="conversation_last"),
                        models.Index(
                            fields=["account", "last_at", "id"], name="conversation_account"
                        ),
                        models.Index(
                            condition=models.Q(("waiting_since__isnull", False)),
                            fields=["window_until", "id"],
                            name="conversation_waiting",
                        ),
                        models.Index(
                            condition=models.Q(("assigned_to__isnull", False)),
                            fields=["assigned_to", "last_at", "id"],
                            name="conversation_assigned",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ConversationLook",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("at", models.DateTimeField()),
                    (
                        "conversation",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="looks",
                            to="subscribers.conversation",
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                ],
                options={
                    "default_permissions": (),
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("conversation", "user"), name="conversation_look_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="ConversationNote",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("at", models.DateTimeField(default=django.utils.timezone.now)),
                    ("text", models.TextField()),
                    (
                        "conversation",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="notes",
                            to="subscribers.conversation",
                        ),
                    ),
                    (
                        "written_by",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                ],
                options={
                    "default_permissions": (),
                },
            ),
            migrations.CreateModel(
                name="SavedAnswer",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("title", models.CharField(max_length=60, verbose_name="title")),
                    ("text", models.TextField(max_length=600, verbose_name="text")),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "saved answer",
                    "verbose_name_plural": "saved answers",
                    "ordering": ["title", "id"],
                },
            ),
            migrations.CreateModel(
                name="WeChatDay",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("date", models.DateField(verbose_name="day")),
                    ("new", models.PositiveIntegerField(verbose_name="follows by WeChat")),
                    ("cancelled", models.PositiveIntegerField(verbose_name="unfollows by WeChat")),
                    ("cumulative", models.PositiveIntegerField(verbose_name="followers by WeChat")),
                    ("fetched_at", models.DateTimeField(verbose_name="fetched")),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "day by WeChat's figures",
                    "verbose_name_plural": "WeChat's daily figures",
                    "default_permissions": ("view",),
                    "indexes": [models.Index(fields=["-date", "-id"], name="wechat_day_date")],
                    "constraints": [
                        models.UniqueConstraint(fields=("account", "date"), name="wechat_day_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="FollowerExport",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    ("conditions", models.JSONField(default=dict, verbose_name="conditions")),
                    (
                        "format",
                        models.CharField(
                            choices=[("csv", "CSV"), ("xlsx", "XLSX")],
                            max_length=4,
                            verbose_name="format",
                        ),
                    ),
                    ("language", models.CharField(max_length=16)),
                    (
                        "requested_at",
                        models.DateTimeField(
                            default=django.utils.timezone.now, verbose_name="requested"
                        ),
                    ),
                    (
                        "written_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="written"),
                    ),
                    (
                        "expires_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="kept until"),
                    ),
                    (
                        "rows",
                        models.PositiveBigIntegerField(
                            blank=True, null=True, verbose_name="followers"
                        ),
                    ),
                    ("shows", models.JSONField(default=dict, editable=False)),
                    (
                        "file",
                        models.FileField(
                            blank=True,
                            max_length=200,
                            storage=events.models.media_file.private_files,
                            upload_to="exports",
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                            verbose_name="requested by",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "follower export",
                    "verbose_name_plural": "follower exports",
                    "default_permissions": ("view", "add"),
                    "indexes": [
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="follower_export_due",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Segment",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("name", models.CharField(max_length=60, verbose_name="name")),
                    ("conditions", models.JSONField(default=dict, verbose_name="conditions")),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "segment",
                    "verbose_name_plural": "segments",
                    "ordering": ["name", "id"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "name"), name="segment_one_per_name"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="WebhookOutbox",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("type", models.CharField(max_length=20)),
                    ("object_id", models.BigIntegerField()),
                    ("at", models.DateTimeField()),
                ],
                options={
                    "default_permissions": (),
                },
            ),
            migrations.CreateModel(
                name="WebhookPosition",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("event_id", models.BigIntegerField()),
                ],
                options={
                    "default_permissions": (),
                },
            ),
            migrations.CreateModel(
                name="WebhookEndpoint",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("url", models.CharField(max_length=2000, verbose_name="address")),
                    ("types", models.JSONField(default=list, verbose_name="types of events")),
                    ("is_active", models.BooleanField(default=True, verbose_name="active")),
                    ("secret", events.models.fields.EncryptedTextField(editable=False)),
                    (
                        "previous_secret",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False
                        ),
                    ),
                    ("previous_until", models.DateTimeField(editable=False, null=True)),
                    ("after_event_id", models.BigIntegerField(default=0, editable=False)),
                    (
                        "failures",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="failures in a row"
                        ),
                    ),
                    (
                        "failing_since",
                        models.DateTimeField(
                            editable=False, null=True, verbose_name="failing since"
                        ),
                    ),
                    (
                        "retry_at",
                        models.DateTimeField(editable=False, null=True, verbose_name="tried again"),
                    ),
                    (
                        "paused_at",
                        models.DateTimeField(editable=False, null=True, verbose_name="paused"),
                    ),
                    (
                        "stopped_because",
                        models.CharField(
                            blank=True,
                            choices=[("gone", "it answered 410 Gone")],
                            default="",
                            editable=False,
                            max_length=10,
                            verbose_name="stopped because",
                        ),
                    ),
                    ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="webhooks",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "webhook",
                    "verbose_name_plural": "webhooks",
                    "ordering": ["-pk"],
                },
            ),
            migrations.CreateModel(
                name="WebhookLateEvent",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("event_id", models.BigIntegerField(unique=True)),
                    ("looked_at", models.DateTimeField()),
                ],
                options={
                    "default_permissions": (),
                    "indexes": [models.Index(fields=["looked_at"], name="webhook_late_event_look")],
                },
            ),
            migrations.CreateModel(
                name="WebhookMessage",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "message_id",
                        models.CharField(
                            default=subscribers.models.webhook._new_message_id,
                            max_length=40,
                            unique=True,
                        ),
                    ),
                    ("type", models.CharField(max_length=70, verbose_name="type of event")),
                    (
                        "openid",
                        models.CharField(
                            blank=True, default="", max_length=64, verbose_name="OpenID"
                        ),
                    ),
                    (
                        "event_id",
                        models.BigIntegerField(blank=True, null=True, verbose_name="event"),
                    ),
                    ("body", models.TextField(verbose_name="payload")),
                    (
                        "created_at",
                        models.DateTimeField(
                            default=django.utils.timezone.now, verbose_name="created"
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "webhook message",
                    "verbose_name_plural": "webhook messages",
                    "default_permissions": (),
                    "indexes": [
                        models.Index(fields=["account", "openid"], name="webhook_message_person"),
                        models.Index(fields=["created_at"], name="webhook_message_age"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="WebhookDelivery",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    (
                        "state",
                        models.CharField(
                            choices=[
                                ("waiting", "waiting"),
                                ("held", "held until the webhook is back"),
                                ("sent", "delivered"),
                                ("failed", "failed"),
                            ],
                            default="waiting",
                            editable=False,
                            max_length=8,
                            verbose_name="status",
                        ),
                    ),
                    (
                        "created_at",
                        models.DateTimeField(
                            default=django.utils.timezone.now, verbose_name="created"
                        ),
                    ),
                    (
                        "sent_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="delivered"
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "endpoint",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="deliveries",
                            to="subscribers.webhookendpoint",
                            verbose_name="webhook",
                        ),
                    ),
                    (
                        "message",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="deliveries",
                            to="subscribers.webhookmessage",
                            verbose_name="webhook message",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "webhook delivery",
                    "verbose_name_plural": "webhook deliveries",
                    "default_permissions": ("view", "change"),
                    "indexes": [
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["endpoint", "due_at", "id"],
                            name="webhook_delivery_due",
                        ),
                        models.Index(
                            condition=models.Q(("state", "held")),
                            fields=["endpoint", "id"],
                            name="webhook_delivery_held",
                        ),
                        models.Index(
                            condition=models.Q(("state", "failed")),
                            fields=["endpoint", "id"],
                            name="webhook_delivery_failed",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("endpoint", "message"), name="webhook_delivery_once"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(("due_at__isnull", False), ("state", "waiting")),
                                models.Q(
                                    ("due_at", None), ("state__in", ["held", "sent", "failed"])
                                ),
                                _connector="OR",
                            ),
                            name="webhook_delivery_due",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="WebhookAttempt",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("at", models.DateTimeField(verbose_name="time")),
                    ("duration_ms", models.PositiveIntegerField(verbose_name="duration (ms)")),
                    ("headers", models.JSONField(default=dict, verbose_name="headers")),
                    (
                        "status",
                        models.PositiveSmallIntegerField(
                            blank=True, null=True, verbose_name="status"
                        ),
                    ),
                    ("answer", models.TextField(blank=True, default="", verbose_name="answer")),
                    (
                        "error",
                        models.CharField(
                            blank=True, default="", max_length=200, verbose_name="error"
                        ),
                    ),
                    (
                        "delivery",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="tries",
                            to="subscribers.webhookdelivery",
                            verbose_name="delivery",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "webhook attempt",
                    "verbose_name_plural": "webhook attempts",
                    "default_permissions": (),
                },
            ),
            migrations.CreateModel(
                name="FollowerMonth",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("openid", models.CharField(max_length=64)),
                    ("month", models.DateField()),
                    ("events", models.IntegerField(default=0)),
                    ("days", models.TextField(blank=True)),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(
                            fields=["account", "month", "-events", "openid"],
                            name="follower_month_top",
                        )
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("openid", "account", "month"), name="follower_month_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="BindingText",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "occasion",
                        models.CharField(
                            choices=[
                                ("bound", "bound"),
                                ("asked", "the follower was asked"),
                                ("declined", "the follower declined"),
                                ("already_bound", "was already bound to this user"),
                                ("follower_bound", "this WeChat is bound to another user"),
                                ("user_bound", "this user is bound to another WeChat"),
                                ("invalid", "the code is not valid, or no longer"),
                                ("too_many", "too many wrong codes before"),
                                ("unbound", "the binding was ended"),
                                ("not_bound", "there was no binding to end"),
                                ("sign_in_asked", "the follower was asked about a sign-in"),
                                ("sign_up_asked", "the follower was asked about a new account"),
                                ("sign_in_allowed", "the follower allowed a sign-in"),
                                ("sign_in_declined", "the follower declined a sign-in"),
                                ("sign_in_not_bound", "a sign-in with a WeChat that is not bound"),
                            ],
                            max_length=20,
                            verbose_name="occasion",
                        ),
                    ),
                    (
                        "language",
                        models.CharField(
                            choices=[("zh-hans", "简体中文"), ("en", "English")],
                            default="zh-hans",
                            max_length=10,
                            verbose_name="language",
                        ),
                    ),
                    (
                        "text",
                        models.TextField(
                            help_text="{user} is the user's name, {account} the Official Account's; in texts about a sign-in {site} is the address of the website.",
                            max_length=600,
                            verbose_name="text",
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "binding text",
                    "verbose_name_plural": "binding texts",
                    "ordering": ["occasion", "language", "id"],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "occasion", "language"),
                            name="binding_text_once",
                            violation_error_message="There is a text for this occasion and language.",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="TagRead",
                fields=[
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    (
                        "account",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            primary_key=True,
                            related_name="+",
                            serialize=False,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    ("read_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "verbose_name": "names of tags",
                    "verbose_name_plural": "names of tags",
                    "default_permissions": ("view",),
                },
            ),
            migrations.CreateModel(
                name="FollowerEdit",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    (
                        "act",
                        models.CharField(
                            choices=[
                                ("tag", "put the tag on"),
                                ("untag", "take the tag off"),
                                ("remark", "write the remark"),
                            ],
                            max_length=8,
                            verbose_name="act",
                        ),
                    ),
                    (
                        "tag_name",
                        models.CharField(
                            blank=True, default="", max_length=64, verbose_name="tag (标签)"
                        ),
                    ),
                    ("people", models.JSONField(default=list)),
                    (
                        "remark",
                        models.CharField(
                            blank=True, default="", max_length=100, verbose_name="remark"
                        ),
                    ),
                    (
                        "created_at",
                        models.DateTimeField(
                            default=django.utils.timezone.now, verbose_name="created"
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "created_by",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                    (
                        "subscriber",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="subscribers.subscriber",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "change of followers at WeChat",
                    "verbose_name_plural": "changes of followers at WeChat",
                    "default_permissions": ("view",),
                    "indexes": [
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="follower_edit_due",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="FollowerTag",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("number", models.PositiveIntegerField()),
                    ("name", models.CharField(max_length=64, verbose_name="name")),
                    (
                        "follower_count",
                        models.PositiveIntegerField(default=0, verbose_name="followers"),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "tag (标签)",
                    "verbose_name_plural": "tags (标签)",
                    "ordering": ["name", "number"],
                    "default_permissions": (),
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "number"), name="follower_tag_one_per_id"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="ReceivedMedia",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    ("event_id", models.BigIntegerField(unique=True)),
                    ("event_time", models.DateTimeField()),
                    ("kind", models.CharField(max_length=16)),
                    (
                        "file",
                        models.FileField(
                            blank=True,
                            max_length=200,
                            storage=events.models.media_file.private_files,
                            upload_to="received",
                        ),
                    ),
                    ("content_type", models.CharField(blank=True, default="", max_length=40)),
                    (
                        "poster",
                        models.FileField(
                            blank=True,
                            db_default="",
                            default="",
                            max_length=200,
                            storage=events.models.media_file.private_files,
                            upload_to="received",
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "subscriber",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="+",
                            to="subscribers.subscriber",
                            verbose_name="follower",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "file of a message",
                    "verbose_name_plural": "files of messages",
                    "default_permissions": ("view",),
                    "indexes": [
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="received_media_due",
                        ),
                        models.Index(fields=["event_time"], name="received_media_time"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="SignInRequest",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "due_at",
                        models.DateTimeField(
                            blank=True,
                            default=django.utils.timezone.now,
                            null=True,
                            verbose_name="due",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "attempts",
                        models.PositiveIntegerField(
                            default=0, editable=False, verbose_name="attempts"
                        ),
                    ),
                    (
                        "failure",
                        models.CharField(
                            blank=True,
                            default="",
                            editable=False,
                            max_length=64,
                            verbose_name="failure",
                        ),
                    ),
                    (
                        "failure_text",
                        models.TextField(
                            blank=True, default="", editable=False, verbose_name="reason"
                        ),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="failed"
                        ),
                    ),
                    ("site", models.CharField(max_length=255)),
                    ("browser", models.CharField(max_length=64)),
                    (
                        "way",
                        models.CharField(
                            choices=[
                                ("scan", "by scanning a QR code"),
                                ("code", "by sending a code"),
                            ],
                            default="scan",
                            max_length=4,
                        ),
                    ),
                    ("scene_digest", models.CharField(max_length=64, unique=True)),
                    ("code_digest", models.CharField(max_length=64, null=True, unique=True)),
                    ("scene", events.models.fields.EncryptedTextField(blank=True, default="")),
                    ("ticket", events.models.fields.EncryptedTextField(blank=True, default="")),
                    ("url", events.models.fields.EncryptedTextField(blank=True, default="")),
                    ("code", events.models.fields.EncryptedTextField(blank=True, default="")),
                    ("created_at", models.DateTimeField()),
                    ("expires_at", models.DateTimeField()),
                    ("asked_at", models.DateTimeField(null=True)),
                    ("allowed_at", models.DateTimeField(null=True)),
                    ("used_at", models.DateTimeField(null=True)),
                    ("refused_reason", models.CharField(blank=True, default="", max_length=20)),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "asked",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to="subscribers.subscriber",
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(
                            condition=models.Q(("refused_reason", ""), ("used_at", None)),
                            fields=["expires_at"],
                            name="sign_in_request_open",
                        ),
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="sign_in_request_due",
                        ),
                        models.Index(fields=["account", "created_at"], name="sign_in_request_made"),
                    ],
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("asked_at", None), ("refused_reason", ""), ("used_at", None)
                                ),
                                models.Q(("code", ""), ("scene", ""), ("ticket", ""), ("url", "")),
                                _connector="OR",
                            ),
                            name="sign_in_request_wiped",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="BindingScan",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("event_id", models.BigIntegerField(verbose_name="event")),
                    ("event_time", models.DateTimeField(verbose_name="event time")),
                    (
                        "outcome",
                        models.CharField(
                            choices=[
                                ("bound", "bound"),
                                ("already_bound", "was already bound to this user"),
                                ("asked", "the follower was asked"),
                                ("sign_in_asked", "the follower was asked about a sign-in"),
                                ("sign_in_allowed", "the follower allowed a sign-in"),
                                ("refused", "refused"),
                            ],
                            max_length=20,
                            verbose_name="outcome",
                        ),
                    ),
                    (
                        "refused_reason",
                        models.CharField(
                            blank=True,
                            choices=[
                                ("unknown", "no such binding code"),
                                ("expired", "the code had expired"),
                                ("used", "the code was already used"),
                                ("withdrawn", "a newer code had replaced it"),
                                ("wrong_account", "scanned under another Official Account"),
                                ("follower_bound", "this WeChat is bound to another user"),
                                ("user_bound", "this user is bound to another WeChat"),
                                ("user_inactive", "the user may not sign in"),
                                ("too_many", "too many wrong codes before"),
                                ("declined", "the follower declined"),
                                ("not_bound", "this WeChat is bound to no user"),
                            ],
                            default="",
                            max_length=20,
                            verbose_name="refused because",
                        ),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "request",
                        models.ForeignKey(
                            blank=True,
                            null=True,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="scans",
                            to="subscribers.bindingrequest",
                            verbose_name="binding request",
                        ),
                    ),
                    (
                        "subscriber",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="binding_scans",
                            to="subscribers.subscriber",
                            verbose_name="follower",
                        ),
                    ),
                    (
                        "sign_in",
                        models.ForeignKey(
                            editable=False,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="scans",
                            to="subscribers.signinrequest",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "binding scan",
                    "verbose_name_plural": "binding scans",
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("event_id", "event_time"), name="binding_scan_once"
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                models.Q(
                                    ("outcome", "refused"),
                                    models.Q(("refused_reason", ""), _negated=True),
                                ),
                                models.Q(
                                    models.Q(("outcome", "refused"), _negated=True),
                                    ("refused_reason", ""),
                                ),
                                _connector="OR",
                            ),
                            name="binding_scan_reason",
                        ),
                    ],
                    "indexes": [
                        models.Index(
                            condition=models.Q(("refused_reason", "unknown")),
                            fields=["account", "-id"],
                            name="binding_scan_unknown",
                        ),
                        models.Index(
                            condition=models.Q(("refused_reason", "unknown")),
                            fields=["subscriber", "event_time"],
                            name="binding_scan_wrong",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="FollowWay",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("openid", models.CharField(max_length=64)),
                    ("at", models.DateTimeField()),
                    ("way", models.CharField(blank=True, max_length=64)),
                    ("stayed", models.IntegerField(default=-1, null=True)),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["account", "at"], name="follow_way_by_time")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("openid", "account"), name="follow_way_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="SourceDay",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("start", models.DateTimeField()),
                    ("scene", models.CharField(blank=True, max_length=64)),
                    ("way", models.CharField(blank=True, max_length=64)),
                    ("acts", models.BigIntegerField(default=0)),
                    ("follows", models.BigIntegerField(default=0)),
                    ("first_followers", models.BigIntegerField(default=0)),
                    ("following", models.BigIntegerField(default=0)),
                    ("bound", models.BigIntegerField(default=0)),
                    ("staying", models.BigIntegerField(default=0)),
                    ("stayed_1", models.BigIntegerField(default=0)),
                    ("stayed_7", models.BigIntegerField(default=0)),
                    ("stayed_30", models.BigIntegerField(default=0)),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "start", "scene", "way"), name="source_day_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="SourceProgress",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("binding", models.BigIntegerField(default=0)),
                    ("way", models.BigIntegerField(default=0)),
                ],
            ),
        ),
        migrations.RunPython(leave_room_for_updates, migrations.RunPython.noop),
    ]
