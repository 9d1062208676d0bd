import django.db.models.deletion
import django.db.models.functions.comparison
import django.utils.timezone
import events.models.account
import events.models.event_log.expressions
import events.models.fields
import events.models.media_file
from django.conf import settings
from django.db import migrations, models

from events.db.schema.create_models import CreateModels

# A later migration that makes the audit list anew, as SQLite's often do, loses its triggers: it has
# to run guard() again.
_IS_ALLOWED = "EXISTS (SELECT 1 FROM events_auditremoval WHERE before > OLD.at)"
_GUARDS_ON_SQLITE = (
    "CREATE TRIGGER audit_append_only BEFORE UPDATE ON events_auditentry "
    "BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON events_auditentry "
    f"WHEN NOT {_IS_ALLOWED} "
    "BEGIN SELECT RAISE(ABORT, 'audit entries are not removed'); END",
)
_GUARDS_ON_POSTGRESQL = (
    "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'audit entries are never changed'; END $$",
    "CREATE TRIGGER audit_append_only BEFORE UPDATE ON events_auditentry "
    "FOR EACH ROW EXECUTE FUNCTION audit_append_only()",
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
    """Has the database refuse to change an audit entry, and to remove one but for retention."""
    is_sqlite = schema_editor.connection.vendor == "sqlite"
    for statement in _GUARDS_ON_SQLITE if is_sqlite else _GUARDS_ON_POSTGRESQL:
        schema_editor.execute(statement)


def unguard(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for name in ("audit_append_only", "audit_kept"):
            schema_editor.execute(f"DROP TRIGGER {name}")
        return
    for name in ("audit_append_only", "audit_kept", "audit_not_truncated"):
        schema_editor.execute(f"DROP TRIGGER {name} ON events_auditentry")
        schema_editor.execute(f"DROP FUNCTION {name}()")


_GRAMS_ON_SQLITE = (
    "CREATE VIRTUAL TABLE events_messagegrams USING fts5(grams, content = '', detail = none)",
)
_GRAMS_ON_POSTGRESQL = (
    "ALTER TABLE events_messagetext ADD COLUMN grams integer[]",
    "CREATE INDEX message_text_grams ON events_messagetext USING gin (grams)",
)


def index_grams(apps, schema_editor):
    """Makes the index over the pairs of letters of messages (events/search)."""
    is_sqlite = schema_editor.connection.vendor == "sqlite"
    for statement in _GRAMS_ON_SQLITE if is_sqlite else _GRAMS_ON_POSTGRESQL:
        schema_editor.execute(statement)


def drop_grams(apps, schema_editor):
    # On PostgreSQL they go with the table.
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TABLE events_messagegrams")


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        CreateModels(
            migrations.CreateModel(
                name="OfficialAccount",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "slug",
                        models.SlugField(
                            help_text="Names this account in the API and in commands. It never changes.",
                            unique=True,
                            verbose_name="handle",
                        ),
                    ),
                    (
                        "callback_key",
                        models.CharField(
                            default=events.models.account.new_callback_key,
                            help_text="The random part of the callback URL.",
                            max_length=64,
                            unique=True,
                            verbose_name="callback key",
                        ),
                    ),
                    ("name", models.CharField(max_length=100, verbose_name="name")),
                    (
                        "picture",
                        models.CharField(
                            blank=True,
                            db_default="",
                            default="",
                            editable=False,
                            max_length=200,
                            verbose_name="profile picture",
                        ),
                    ),
                    (
                        "original_id",
                        models.CharField(
                            blank=True,
                            default="",
                            help_text="Begins with gh_. In safe and compatible mode it may be left out: the first push tells it.",
                            max_length=64,
                            verbose_name="original ID (原始ID)",
                        ),
                    ),
                    (
                        "app_id",
                        models.CharField(
                            help_text="Begins with wx.", max_length=64, verbose_name="AppID"
                        ),
                    ),
                    (
                        "app_secret",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", verbose_name="AppSecret"
                        ),
                    ),
                    (
                        "token",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", verbose_name="token (令牌)"
                        ),
                    ),
                    (
                        "previous_token",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False
                        ),
                    ),
                    ("token_changed_at", models.DateTimeField(editable=False, null=True)),
                    (
                        "encoding_aes_key",
                        events.models.fields.EncryptedTextField(
                            blank=True,
                            default="",
                            validators=[events.models.account.validate_aes_key],
                            verbose_name="EncodingAESKey (消息加解密密钥)",
                        ),
                    ),
                    (
                        "previous_encoding_aes_key",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False
                        ),
                    ),
                    (
                        "encoding_aes_key_changed_at",
                        models.DateTimeField(editable=False, null=True),
                    ),
                    (
                        "security_mode",
                        models.CharField(
                            choices=[
                                ("plaintext", "plaintext (明文模式)"),
                                ("compatible", "compatible (兼容模式)"),
                                ("safe", "safe (安全模式)"),
                            ],
                            default="safe",
                            help_text="Safe mode is recommended. In plaintext mode WeChat's signature does not cover the body: anyone who has seen one signed request can forge others.",
                            max_length=10,
                            verbose_name="security mode (消息加解密方式)",
                        ),
                    ),
                    (
                        "time_zone",
                        models.CharField(
                            default="Asia/Shanghai",
                            help_text="Where the account's business days begin and end.",
                            max_length=64,
                            validators=[events.models.account.validate_time_zone],
                            verbose_name="time zone",
                        ),
                    ),
                    (
                        "late_answers",
                        models.CharField(
                            choices=[
                                ("message", "as a customer-service message (客服消息)"),
                                ("next", "with the reply to the follower's next message"),
                            ],
                            default="message",
                            help_text="How an answer goes out that takes longer than WeChat waits, about 14 seconds. An account that is not verified (未认证) may send no customer-service messages.",
                            max_length=7,
                            verbose_name="late answers",
                        ),
                    ),
                    (
                        "hold_text",
                        models.CharField(
                            blank=True,
                            default="正在为您处理，回复任意内容查看结果",
                            help_text="Where late answers go out with the next reply: what the follower reads meanwhile. Empty: nothing.",
                            max_length=200,
                            verbose_name="text while the answer is made",
                        ),
                    ),
                    (
                        "is_active",
                        models.BooleanField(
                            default=True,
                            help_text="An inactive account's callback refuses everything.",
                            verbose_name="active",
                        ),
                    ),
                    ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                    ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated")),
                    (
                        "ask_before_binding",
                        models.BooleanField(
                            default=False,
                            help_text="Who scans or sends a binding code is told the user's name, and nothing is bound until they agree. Otherwise they are bound at once and told how to undo it.",
                            verbose_name="ask before binding",
                        ),
                    ),
                    (
                        "js_hosts",
                        models.TextField(
                            blank=True,
                            default="",
                            help_text="Hosts whose pages other programs may have signed for wx.config, one on each line.",
                            validators=[events.models.account.validate_hosts],
                            verbose_name="JS-SDK hosts (JS接口安全域名)",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "Official Account",
                    "verbose_name_plural": "Official Accounts",
                    "ordering": ["slug"],
                    "constraints": [
                        models.CheckConstraint(
                            condition=models.Q(("late_answers__in", ["message", "next"])),
                            name="account_late_answers",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("security_mode__in", ["plaintext", "compatible", "safe"])
                            ),
                            name="account_security_mode",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("security_mode", "plaintext"),
                                models.Q(
                                    models.Q(("encoding_aes_key", ""), _negated=True),
                                    models.Q(("app_id", ""), _negated=True),
                                ),
                                _connector="OR",
                            ),
                            name="account_encryption_has_key",
                            violation_error_message="Compatible and safe mode need an AppID and an EncodingAESKey.",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="ApiKey",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("name", models.CharField(blank=True, max_length=100, verbose_name="name")),
                    ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                    ("scopes", models.JSONField(default=list, verbose_name="scopes")),
                    ("is_limited", models.BooleanField(default=False, editable=False)),
                    ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                    (
                        "expires_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="expires"),
                    ),
                    (
                        "last_used_at",
                        models.DateTimeField(
                            blank=True, editable=False, null=True, verbose_name="last used"
                        ),
                    ),
                    (
                        "last_used_from",
                        models.GenericIPAddressField(
                            blank=True, editable=False, null=True, verbose_name="last used from"
                        ),
                    ),
                    (
                        "revoked_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="revoked"),
                    ),
                    (
                        "accounts",
                        models.ManyToManyField(
                            blank=True,
                            help_text="None chosen: all that you may see.",
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Accounts",
                        ),
                    ),
                    (
                        "user",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="api_keys",
                            to=settings.AUTH_USER_MODEL,
                            verbose_name="user",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "API key",
                    "verbose_name_plural": "API keys",
                    "ordering": ["-created_at"],
                },
            ),
            migrations.CreateModel(
                name="AuditEntry",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("at", models.DateTimeField(verbose_name="time")),
                    ("user_id", models.BigIntegerField(editable=False, null=True)),
                    (
                        "user_name",
                        models.CharField(blank=True, max_length=150, verbose_name="user"),
                    ),
                    ("key_id", models.BigIntegerField(editable=False, null=True)),
                    (
                        "key_name",
                        models.CharField(blank=True, max_length=100, verbose_name="API key"),
                    ),
                    (
                        "way",
                        models.CharField(
                            choices=[
                                ("page", "page"),
                                ("api", "API"),
                                ("command", "command"),
                                ("site", "the site itself"),
                            ],
                            max_length=7,
                            verbose_name="by way of",
                        ),
                    ),
                    (
                        "address",
                        models.GenericIPAddressField(blank=True, null=True, verbose_name="address"),
                    ),
                    ("act", models.CharField(max_length=64, verbose_name="act")),
                    ("model", models.CharField(blank=True, editable=False, max_length=100)),
                    ("object_id", models.CharField(blank=True, editable=False, max_length=64)),
                    (
                        "object_name",
                        models.CharField(blank=True, max_length=200, verbose_name="object"),
                    ),
                    ("changes", models.JSONField(blank=True, default=dict, verbose_name="changes")),
                    ("details", models.JSONField(blank=True, default=dict, verbose_name="details")),
                    (
                        "account",
                        models.ForeignKey(
                            blank=True,
                            db_constraint=False,
                            db_index=False,
                            null=True,
                            on_delete=django.db.models.deletion.DO_NOTHING,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "audit entry",
                    "verbose_name_plural": "audit entries",
                    "default_permissions": ("view",),
                    "indexes": [
                        models.Index(fields=["model", "object_id", "-id"], name="audit_object"),
                        models.Index(fields=["user_name", "-id"], name="audit_user"),
                        models.Index(fields=["act", "-id"], name="audit_act"),
                        models.Index(fields=["address", "-id"], name="audit_address"),
                        models.Index(fields=["account", "-id"], name="audit_account"),
                        models.Index(fields=["at"], name="audit_at"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="BodyRetention",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("received_at", models.DateTimeField(null=True)),
                    ("event_id", models.BigIntegerField(default=0)),
                ],
            ),
            migrations.CreateModel(
                name="CallbackRefusal",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("minute", models.DateTimeField()),
                    ("account", models.SlugField(blank=True, db_index=False)),
                    ("reason", models.CharField(max_length=40)),
                    ("number", models.BigIntegerField(default=0)),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("minute", "account", "reason"), name="callback_refusal_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="EventLog",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "source",
                        models.CharField(
                            choices=[
                                ("callback", "callback"),
                                ("import", "import"),
                                ("reconcile", "reconcile"),
                            ],
                            default="callback",
                            max_length=10,
                            verbose_name="source",
                        ),
                    ),
                    ("dedup_key", models.CharField(max_length=32)),
                    (
                        "msg_type",
                        models.CharField(blank=True, max_length=64, verbose_name="MsgType"),
                    ),
                    ("event", models.CharField(blank=True, max_length=64, verbose_name="Event")),
                    ("kind", models.CharField(max_length=64, verbose_name="kind")),
                    (
                        "from_user",
                        models.CharField(blank=True, max_length=64, verbose_name="FromUserName"),
                    ),
                    ("openid", models.CharField(blank=True, max_length=64, verbose_name="OpenID")),
                    ("event_key", models.TextField(blank=True, verbose_name="EventKey")),
                    ("scene", models.CharField(blank=True, max_length=64, verbose_name="scene")),
                    ("ticket", models.TextField(blank=True, verbose_name="Ticket")),
                    ("msg_id", models.CharField(blank=True, max_length=64, verbose_name="MsgId")),
                    ("event_time", models.DateTimeField(verbose_name="event time")),
                    ("received_at", models.DateTimeField(verbose_name="received at")),
                    ("last_delivered_at", models.DateTimeField(verbose_name="last delivery")),
                    (
                        "delivery_count",
                        models.PositiveIntegerField(default=1, verbose_name="deliveries"),
                    ),
                    ("raw", models.BinaryField(verbose_name="body")),
                    (
                        "folded_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="folded"),
                    ),
                    (
                        "status",
                        models.CharField(
                            choices=[
                                ("received", "received"),
                                ("processed", "processed"),
                                ("failed", "failed"),
                                ("dead", "given up"),
                                ("unreadable", "unreadable"),
                                ("set_aside", "quarantined"),
                            ],
                            max_length=10,
                            verbose_name="status",
                        ),
                    ),
                    (
                        "attempts",
                        models.PositiveSmallIntegerField(default=0, verbose_name="attempts"),
                    ),
                    (
                        "next_attempt_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="next attempt"),
                    ),
                    ("error", models.TextField(blank=True, default="", verbose_name="error")),
                    (
                        "processed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="outcome"),
                    ),
                    (
                        "duration_ms",
                        models.PositiveIntegerField(
                            blank=True, null=True, verbose_name="duration (ms)"
                        ),
                    ),
                    ("reply", models.TextField(blank=True, default="", verbose_name="reply")),
                    (
                        "mended",
                        models.BooleanField(
                            db_default=False,
                            default=False,
                            editable=False,
                            help_text="A field of the body is broken; it is shown as well as it can be read.",
                            verbose_name="mended",
                        ),
                    ),
                    (
                        "lease",
                        models.CharField(
                            blank=True, db_default="", default="", editable=False, max_length=16
                        ),
                    ),
                    ("leased_until", models.DateTimeField(editable=False, null=True)),
                    (
                        "answered_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="answered"),
                    ),
                    (
                        "answered_by",
                        models.CharField(
                            blank=True,
                            choices=[
                                ("", "no answer"),
                                ("reply", "reply"),
                                ("message", "customer-service message"),
                                ("next", "reply to the next message"),
                                ("kept", "unanswered: kept for the next message"),
                                ("none", "unanswered: reached nobody"),
                            ],
                            db_default="",
                            default="",
                            max_length=7,
                            verbose_name="answered by",
                        ),
                    ),
                    (
                        "is_cut",
                        models.BooleanField(
                            db_default=False, default=False, verbose_name="answer cut short"
                        ),
                    ),
                    (
                        "is_carried_over",
                        models.BooleanField(db_default=False, default=False, editable=False),
                    ),
                    (
                        "body_removed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="body removed"),
                    ),
                    (
                        "followed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="followed"),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.PROTECT,
                            related_name="events",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "event",
                    "verbose_name_plural": "events",
                    "indexes": [
                        models.Index(fields=["account", "id"], name="event_account"),
                        models.Index(fields=["account", "event_time"], name="event_account_time"),
                        models.Index(fields=["event_time", "id"], name="event_by_time"),
                        models.Index(fields=["received_at", "id"], name="event_by_receipt"),
                        models.Index(
                            condition=models.Q(("openid", ""), _negated=True),
                            fields=["openid", "id"],
                            name="event_openid",
                        ),
                        models.Index(fields=["kind", "id"], name="event_kind"),
                        models.Index(
                            condition=models.Q(("scene", ""), _negated=True),
                            fields=["scene", "id"],
                            name="event_scene",
                        ),
                        models.Index(
                            events.models.event_log.expressions.EventKeyPrefix("event_key"),
                            models.F("id"),
                            condition=models.Q(("event_key", ""), _negated=True),
                            name="event_key_prefix",
                        ),
                        models.Index(
                            condition=models.Q(("next_attempt_at__isnull", False)),
                            fields=["next_attempt_at"],
                            name="event_due",
                        ),
                        models.Index(
                            condition=models.Q(("delivery_count__gt", 1)),
                            fields=["received_at"],
                            name="event_repeated",
                        ),
                        models.Index(
                            condition=models.Q(("status", "processed"), _negated=True),
                            fields=["status", "id"],
                            name="event_status",
                        ),
                        models.Index(
                            condition=models.Q(("mended", True)), fields=["id"], name="event_mended"
                        ),
                        models.Index(
                            condition=models.Q(("answered_by", "kept")),
                            fields=["openid"],
                            name="event_kept_answer",
                        ),
                        models.Index(
                            condition=models.Q(("answered_by__in", ["", "reply"]), _negated=True),
                            fields=["answered_by", "id"],
                            name="event_answered_by",
                        ),
                        models.Index(
                            condition=models.Q(
                                events.models.event_log.expressions.AnsweredLate(
                                    "answered_at", "received_at"
                                )
                            ),
                            fields=["id"],
                            name="event_answered_late",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "event_time", "dedup_key"),
                            name="event_delivered_once",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("source__in", ["callback", "import", "reconcile"])),
                            name="event_source",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                (
                                    "status__in",
                                    [
                                        "received",
                                        "processed",
                                        "failed",
                                        "dead",
                                        "unreadable",
                                        "set_aside",
                                    ],
                                )
                            ),
                            name="event_status",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                (
                                    "answered_by__in",
                                    ["", "reply", "message", "next", "kept", "none"],
                                )
                            ),
                            name="event_answered_by",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("folded_at", None),
                                models.Q(
                                    ("status__in", ["unreadable", "set_aside"]), _negated=True
                                ),
                                _connector="OR",
                            ),
                            name="event_fold_only_ours",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="HealthCount",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("start", models.DateTimeField()),
                    ("received", models.BigIntegerField(default=0)),
                    ("answered", models.BigIntegerField(default=0)),
                    ("within_1s", models.BigIntegerField(default=0)),
                    ("within_5s", models.BigIntegerField(default=0)),
                    ("unanswered", models.BigIntegerField(default=0)),
                    ("repeated", models.BigIntegerField(default=0)),
                    ("failed", models.BigIntegerField(default=0)),
                    ("mended", models.BigIntegerField(default=0)),
                    ("unreadable", models.BigIntegerField(default=0)),
                    ("quarantined", models.BigIntegerField(default=0)),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "start"), name="health_count_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="IdempotentRequest",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("digest", models.CharField(max_length=64)),
                    ("fingerprint", models.CharField(max_length=64)),
                    ("status", models.PositiveSmallIntegerField(null=True)),
                    (
                        "content",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False
                        ),
                    ),
                    ("created_at", models.DateTimeField()),
                    ("started_at", models.DateTimeField()),
                    (
                        "key",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.apikey",
                        ),
                    ),
                ],
                options={
                    "indexes": [models.Index(fields=["created_at"], name="idempotent_request_age")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("key", "digest"), name="idempotent_request_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="MenuVersion",
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
                    ("menu", models.JSONField(default=dict, verbose_name="menu")),
                    ("revision", models.PositiveIntegerField(default=0, editable=False)),
                    (
                        "origin",
                        models.CharField(
                            choices=[("site", "written here"), ("wechat", "as WeChat has it")],
                            default="site",
                            editable=False,
                            max_length=10,
                            verbose_name="origin",
                        ),
                    ),
                    (
                        "note",
                        models.CharField(
                            blank=True,
                            help_text="What is new; only operators see it.",
                            max_length=200,
                            verbose_name="note",
                        ),
                    ),
                    ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="written")),
                    (
                        "published_at",
                        models.DateTimeField(editable=False, null=True, verbose_name="published"),
                    ),
                    (
                        "account",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="menu_versions",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "based_on",
                        models.ForeignKey(
                            blank=True,
                            editable=False,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="copies",
                            to="events.menuversion",
                            verbose_name="made from",
                        ),
                    ),
                    (
                        "created_by",
                        models.ForeignKey(
                            editable=False,
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                            verbose_name="written by",
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
                    "verbose_name": "menu version",
                    "verbose_name_plural": "menu versions",
                    "ordering": ["-pk"],
                    "permissions": [("publish_menu", "Can publish menus")],
                    "indexes": [
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="menu_version_due",
                        ),
                        models.Index(
                            condition=models.Q(("published_at__isnull", False)),
                            fields=["account", "published_at"],
                            name="menu_version_published",
                        ),
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("due_at__isnull", False), ("published_at", None)),
                            fields=("account",),
                            name="menu_version_one_waits",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(("origin__in", ["site", "wechat"])),
                            name="menu_version_origin",
                        ),
                        models.CheckConstraint(
                            condition=models.Q(
                                ("published_at", None), ("due_at", None), _connector="OR"
                            ),
                            name="menu_version_published_is_done",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="OpenEvent",
                fields=[
                    ("event_id", models.BigIntegerField(primary_key=True, serialize=False)),
                    ("event_time", models.DateTimeField()),
                    ("status", models.CharField(max_length=10)),
                    ("is_folded", models.BooleanField()),
                    ("outcome", models.CharField(blank=True, max_length=10)),
                    ("look_again_at", models.DateTimeField(db_index=True)),
                ],
            ),
            migrations.CreateModel(
                name="PrunedMonth",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("month", models.DateField(unique=True)),
                    ("part", models.PositiveSmallIntegerField(default=0)),
                    ("is_archived", models.BooleanField(default=False)),
                    ("rows", models.PositiveBigIntegerField(default=0)),
                    ("began_at", models.DateTimeField(null=True)),
                    ("finished_at", models.DateTimeField(null=True)),
                    ("keep_until", models.DateTimeField(null=True)),
                ],
            ),
            migrations.CreateModel(
                name="ReplyRule",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("is_active", models.BooleanField(default=True, verbose_name="active")),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="reply_rules",
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    ("trigger", models.JSONField(verbose_name="trigger")),
                    ("position", models.PositiveIntegerField(default=0, verbose_name="place")),
                    ("name", models.CharField(max_length=100, verbose_name="name")),
                    (
                        "conditions",
                        models.JSONField(blank=True, default=dict, verbose_name="conditions"),
                    ),
                    ("answers", models.JSONField(default=list, verbose_name="answers")),
                    (
                        "choice",
                        models.CharField(
                            choices=[("all", "all"), ("one", "one at random")],
                            default="all",
                            max_length=3,
                            verbose_name="of several answers",
                        ),
                    ),
                    (
                        "later",
                        models.JSONField(
                            blank=True, default=list, verbose_name="messages afterwards"
                        ),
                    ),
                ],
                options={
                    "verbose_name": "reply rule",
                    "verbose_name_plural": "reply rules",
                    "ordering": ["account", "position", "id"],
                    "indexes": [
                        models.Index(fields=["account", "position"], name="reply_rule_order")
                    ],
                },
            ),
            migrations.CreateModel(
                name="Role",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("key", models.CharField(max_length=20, unique=True)),
                    ("given", models.JSONField(default=list)),
                    (
                        "group",
                        models.OneToOneField(
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="made_as",
                            to="auth.group",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "role",
                    "verbose_name_plural": "roles",
                },
            ),
            migrations.CreateModel(
                name="RowChange",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("type", models.CharField(max_length=16)),
                    ("object_id", models.BigIntegerField()),
                    ("seq", models.BigIntegerField()),
                    ("account_id", models.BigIntegerField(null=True)),
                    ("changed_at", models.DateTimeField()),
                ],
                options={
                    "indexes": [models.Index(fields=["type", "seq"], name="row_change_order")],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("type", "object_id"), name="row_change_last"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="Series",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("kind", models.CharField(max_length=64)),
                    ("key", models.TextField(blank=True)),
                    ("digest", models.CharField(max_length=32)),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "kind", "digest"), name="series_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="LastSeen",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("openid", models.CharField(max_length=64)),
                    ("at", models.BigIntegerField()),
                    (
                        "series",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            to="events.series",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(fields=("openid", "series"), name="last_seen_once")
                    ],
                },
            ),
            migrations.CreateModel(
                name="PeriodCount",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "period",
                        models.CharField(
                            choices=[("h", "Hour"), ("d", "Day"), ("w", "Week"), ("m", "Month")],
                            max_length=1,
                        ),
                    ),
                    ("start", models.DateTimeField()),
                    ("events", models.BigIntegerField(default=0)),
                    ("people", models.BigIntegerField(default=0)),
                    ("answered", models.BigIntegerField(default=0)),
                    ("unanswered", models.BigIntegerField(default=0)),
                    ("waited_ms", models.BigIntegerField(default=0)),
                    (
                        "series",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            to="events.series",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("series", "period", "start"), name="period_count_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="StatisticsProgress",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("last_id", models.BigIntegerField(default=0)),
                    ("turn", models.BigIntegerField(default=0)),
                    ("repeats_until", models.DateTimeField(null=True)),
                ],
            ),
            migrations.CreateModel(
                name="TaskRun",
                fields=[
                    (
                        "name",
                        models.CharField(
                            max_length=64, primary_key=True, serialize=False, verbose_name="task"
                        ),
                    ),
                    (
                        "schedule",
                        models.CharField(blank=True, default="", editable=False, max_length=64),
                    ),
                    (
                        "started_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="started"),
                    ),
                    (
                        "finished_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="last run"),
                    ),
                    (
                        "duration_ms",
                        models.PositiveBigIntegerField(
                            blank=True, null=True, verbose_name="duration (ms)"
                        ),
                    ),
                    ("served", models.PositiveBigIntegerField(default=0, verbose_name="served")),
                    (
                        "served_in_all",
                        models.PositiveBigIntegerField(default=0, verbose_name="served in all"),
                    ),
                    ("error", models.TextField(blank=True, default="", verbose_name="error")),
                    (
                        "failed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="failed"),
                    ),
                    (
                        "failures",
                        models.PositiveIntegerField(default=0, verbose_name="failures in a row"),
                    ),
                    (
                        "next_run_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="next run"),
                    ),
                    (
                        "lease",
                        models.CharField(blank=True, default="", editable=False, max_length=16),
                    ),
                    ("leased_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ],
                options={
                    "verbose_name": "background job",
                    "verbose_name_plural": "background jobs",
                },
            ),
            migrations.CreateModel(
                name="UnansweredEvent",
                fields=[
                    ("event_id", models.BigIntegerField(primary_key=True, serialize=False)),
                    ("event_time", models.DateTimeField()),
                    ("kind", models.CharField(max_length=64)),
                    ("openid", models.CharField(max_length=64)),
                    ("text", models.CharField(blank=True, max_length=100)),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "indexes": [
                        models.Index(
                            fields=["account", "event_time", "text"], name="unanswered_by_time"
                        ),
                        models.Index(fields=["openid"], name="unanswered_openid"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="AccountLimit",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    (
                        "user",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="account_limit",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                    (
                        "accounts",
                        models.ManyToManyField(
                            blank=True,
                            related_name="+",
                            to="events.officialaccount",
                            verbose_name="Official Accounts",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "limit to Official Accounts",
                    "verbose_name_plural": "limit to Official Accounts",
                    "permissions": [
                        ("view_message_contents", "Can see message contents"),
                        ("view_openids_in_clear", "Can see OpenIDs in clear"),
                        ("view_statistics", "Can see statistics"),
                        ("use_access_token", "Can let an API key use access tokens"),
                        ("use_js_ticket", "Can let an API key use JS-SDK tickets"),
                        ("act_for_users", "Can let an API key act for other users"),
                    ],
                },
            ),
            migrations.CreateModel(
                name="AccountStatistics",
                fields=[
                    (
                        "account",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            primary_key=True,
                            serialize=False,
                            to="events.officialaccount",
                        ),
                    ),
                    ("time_zone", models.CharField(max_length=64)),
                    ("frozen_before", models.DateTimeField(null=True)),
                    ("seen_since", models.DateTimeField(null=True)),
                ],
            ),
            migrations.CreateModel(
                name="LiveMenu",
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
                            related_name="live_menu",
                            serialize=False,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "conditional_menus",
                        models.PositiveSmallIntegerField(
                            default=0, verbose_name="menus for some followers"
                        ),
                    ),
                    ("asked_at", models.DateTimeField(null=True, verbose_name="asked")),
                    (
                        "version",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.RESTRICT,
                            related_name="live_for",
                            to="events.menuversion",
                            verbose_name="menu version",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "menu at WeChat",
                    "verbose_name_plural": "menus at WeChat",
                },
            ),
            migrations.CreateModel(
                name="PendingJudgement",
                fields=[
                    (
                        "account",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            primary_key=True,
                            related_name="+",
                            serialize=False,
                            to="events.officialaccount",
                        ),
                    ),
                    ("due_at", models.DateTimeField()),
                    ("after_id", models.BigIntegerField(default=0)),
                    ("is_last", models.BooleanField(default=False)),
                ],
            ),
            migrations.CreateModel(
                name="SharedAccessToken",
                fields=[
                    (
                        "account",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            primary_key=True,
                            related_name="shared_access_token",
                            serialize=False,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "app_id",
                        models.CharField(
                            blank=True, default="", max_length=64, verbose_name="AppID"
                        ),
                    ),
                    (
                        "access_token",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False
                        ),
                    ),
                    (
                        "refreshed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="refreshed"),
                    ),
                    (
                        "expires_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="expires"),
                    ),
                    (
                        "lease_holder",
                        models.CharField(blank=True, default="", editable=False, max_length=32),
                    ),
                    ("lease_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "failure",
                        models.CharField(
                            blank=True, default="", max_length=20, verbose_name="failure"
                        ),
                    ),
                    (
                        "failure_code",
                        models.IntegerField(blank=True, null=True, verbose_name="errcode"),
                    ),
                    (
                        "failure_message",
                        models.TextField(blank=True, default="", verbose_name="message"),
                    ),
                    (
                        "failure_rid",
                        models.CharField(blank=True, default="", max_length=64, verbose_name="rid"),
                    ),
                    (
                        "failed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="failed"),
                    ),
                    (
                        "failures",
                        models.PositiveIntegerField(default=0, verbose_name="failures in a row"),
                    ),
                    (
                        "next_attempt_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="next attempt"),
                    ),
                ],
                options={
                    "verbose_name": "access token",
                    "verbose_name_plural": "access tokens",
                },
            ),
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
                options={
                    "default_permissions": (),
                },
            ),
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
                    (
                        "published_at",
                        models.DateTimeField(auto_now_add=True, verbose_name="published"),
                    ),
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
                    "indexes": [
                        models.Index(fields=["account", "id"], name="rule_version_account")
                    ],
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
            migrations.CreateModel(
                name="LastExamination",
                fields=[
                    (
                        "account",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            primary_key=True,
                            related_name="last_examination",
                            serialize=False,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    ("at", models.DateTimeField(verbose_name="examined")),
                    ("findings", models.JSONField(default=list)),
                ],
                options={
                    "verbose_name": "examination",
                    "verbose_name_plural": "examinations",
                    "default_permissions": (),
                },
            ),
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
                        models.UniqueConstraint(
                            fields=("said", "source_id"), name="message_text_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="AlertChannel",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("name", models.CharField(max_length=100, verbose_name="name")),
                    (
                        "url",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", verbose_name="address (apprise)"
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
                        "quiet_from",
                        models.TimeField(blank=True, null=True, verbose_name="quiet from"),
                    ),
                    ("quiet_to", models.TimeField(blank=True, null=True, verbose_name="quiet to")),
                    (
                        "urgent_always",
                        models.BooleanField(
                            default=True,
                            help_text="Send what loses pushes in quiet hours too; the rest waits until they end.",
                            verbose_name="wake for what is down",
                        ),
                    ),
                    ("is_active", models.BooleanField(default=True, verbose_name="active")),
                    ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ],
                options={
                    "verbose_name": "alert channel",
                    "verbose_name_plural": "alert channels",
                    "ordering": ["name"],
                },
            ),
            migrations.CreateModel(
                name="Alert",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("rule", models.CharField(max_length=32, verbose_name="rule")),
                    (
                        "level",
                        models.CharField(
                            choices=[("late", "late"), ("down", "down")],
                            max_length=4,
                            verbose_name="level",
                        ),
                    ),
                    ("details", models.JSONField(default=dict)),
                    ("began_at", models.DateTimeField(verbose_name="began")),
                    ("last_seen_at", models.DateTimeField(verbose_name="last noticed")),
                    ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="over")),
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
                ],
                options={
                    "verbose_name": "alert",
                    "verbose_name_plural": "alerts",
                    "default_permissions": ("view",),
                    "indexes": [models.Index(fields=["ended_at"], name="alert_ended")],
                    "constraints": [
                        models.UniqueConstraint(
                            condition=models.Q(("account__isnull", False), ("ended_at", None)),
                            fields=("rule", "account"),
                            name="alert_open_once",
                        ),
                        models.UniqueConstraint(
                            condition=models.Q(("account__isnull", True), ("ended_at", None)),
                            fields=("rule",),
                            name="alert_of_site_open_once",
                        ),
                    ],
                },
            ),
            migrations.CreateModel(
                name="AlertMessage",
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
                        "about",
                        models.CharField(
                            choices=[
                                ("beginning", "beginning"),
                                ("worse", "worse"),
                                ("end", "over"),
                            ],
                            max_length=9,
                            verbose_name="about",
                        ),
                    ),
                    ("sent_at", models.DateTimeField(blank=True, null=True, verbose_name="sent")),
                    (
                        "alert",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="messages",
                            to="events.alert",
                            verbose_name="alert",
                        ),
                    ),
                    (
                        "channel",
                        models.ForeignKey(
                            on_delete=django.db.models.deletion.CASCADE,
                            related_name="+",
                            to="events.alertchannel",
                            verbose_name="alert channel",
                        ),
                    ),
                ],
                options={
                    "verbose_name": "alert message",
                    "verbose_name_plural": "alert messages",
                    "default_permissions": ("view",),
                    "indexes": [
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="alert_message_due",
                        )
                    ],
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("alert", "channel", "about"), name="alert_message_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="SharedJsTicket",
                fields=[
                    (
                        "account",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            primary_key=True,
                            related_name="shared_js_ticket",
                            serialize=False,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    (
                        "app_id",
                        models.CharField(
                            blank=True, default="", max_length=64, verbose_name="AppID"
                        ),
                    ),
                    (
                        "ticket",
                        events.models.fields.EncryptedTextField(
                            blank=True, default="", editable=False
                        ),
                    ),
                    (
                        "refreshed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="refreshed"),
                    ),
                    (
                        "expires_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="expires"),
                    ),
                    ("lease_until", models.DateTimeField(blank=True, editable=False, null=True)),
                    (
                        "failed_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="failed"),
                    ),
                    (
                        "failures",
                        models.PositiveIntegerField(default=0, verbose_name="failures in a row"),
                    ),
                    (
                        "next_attempt_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="next attempt"),
                    ),
                ],
                options={
                    "verbose_name": "JS-SDK ticket",
                    "verbose_name_plural": "JS-SDK tickets",
                    "default_permissions": (),
                },
            ),
            migrations.CreateModel(
                name="MediaFile",
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
                        "kind",
                        models.CharField(
                            choices=[("image", "picture"), ("voice", "voice"), ("video", "video")],
                            max_length=8,
                            verbose_name="kind",
                        ),
                    ),
                    ("title", models.CharField(max_length=60, verbose_name="title")),
                    (
                        "file",
                        models.FileField(
                            max_length=200,
                            storage=events.models.media_file.private_files,
                            upload_to="media",
                            verbose_name="file",
                        ),
                    ),
                    (
                        "poster",
                        models.FileField(
                            blank=True,
                            db_default="",
                            default="",
                            max_length=200,
                            storage=events.models.media_file.private_files,
                            upload_to="media",
                            verbose_name="poster of the video",
                        ),
                    ),
                    ("content_type", models.CharField(max_length=40)),
                    ("size", models.PositiveIntegerField(verbose_name="size")),
                    (
                        "created_at",
                        models.DateTimeField(
                            default=django.utils.timezone.now, verbose_name="created"
                        ),
                    ),
                    ("media_id", models.CharField(blank=True, default="", max_length=128)),
                    (
                        "thumb_media_id",
                        models.CharField(blank=True, db_default="", default="", max_length=128),
                    ),
                    (
                        "uploaded_at",
                        models.DateTimeField(blank=True, null=True, verbose_name="sent to WeChat"),
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
                        "created_by",
                        models.ForeignKey(
                            null=True,
                            on_delete=django.db.models.deletion.SET_NULL,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    ),
                ],
                options={
                    "verbose_name": "media file",
                    "verbose_name_plural": "media files",
                    "ordering": ["-id"],
                    "indexes": [
                        models.Index(
                            condition=models.Q(("due_at__isnull", False)),
                            fields=["due_at"],
                            name="media_file_due",
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="SigningKey",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("pem", events.models.fields.EncryptedTextField(editable=False)),
                    ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ],
            ),
            migrations.CreateModel(
                name="UnmatchedDay",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("start", models.DateTimeField()),
                    ("text", models.CharField(max_length=100)),
                    ("messages", models.BigIntegerField()),
                    ("people", models.BigIntegerField()),
                    ("last_at", models.DateTimeField()),
                    (
                        "account",
                        models.ForeignKey(
                            db_index=False,
                            on_delete=django.db.models.deletion.CASCADE,
                            to="events.officialaccount",
                        ),
                    ),
                ],
                options={
                    "constraints": [
                        models.UniqueConstraint(
                            fields=("account", "start", "text"), name="unmatched_day_once"
                        )
                    ],
                },
            ),
            migrations.CreateModel(
                name="AccountRights",
                fields=[
                    (
                        "account",
                        models.OneToOneField(
                            on_delete=django.db.models.deletion.CASCADE,
                            primary_key=True,
                            related_name="rights",
                            serialize=False,
                            to="events.officialaccount",
                            verbose_name="Official Account",
                        ),
                    ),
                    ("rights", models.JSONField(default=list)),
                    ("asked_at", models.DateTimeField(blank=True, null=True)),
                    ("known_at", models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    "verbose_name": "rights of an account",
                    "verbose_name_plural": "rights of accounts",
                    "default_permissions": (),
                },
            ),
            migrations.CreateModel(
                name="AlertLimits",
                fields=[
                    (
                        "id",
                        models.BigAutoField(
                            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                        ),
                    ),
                    ("limits", models.JSONField(default=dict, verbose_name="limits")),
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
                ],
                options={
                    "verbose_name": "limits of alerts",
                    "verbose_name_plural": "limits of alerts",
                    "ordering": ["account"],
                    "constraints": [
                        models.UniqueConstraint(
                            django.db.models.functions.comparison.Coalesce(
                                "account", models.Value(0, models.BigIntegerField())
                            ),
                            name="alert_limits_once",
                            violation_error_message="There are limits of these already: change those.",
                        )
                    ],
                },
            ),
        ),
        migrations.RunPython(guard, unguard),
        migrations.RunPython(index_grams, drop_grams),
    ]
