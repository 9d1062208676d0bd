from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import secrets
import zoneinfo
from collections.abc import Mapping
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DatabaseError, models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events import one_time_scenes
from events.duty_run import DutyRun
from events.fields import EncryptedTextField
from events.kinds import label
from events.log import EventKeyPrefix, EventLogQuerySet
from events.menu_version import LiveMenu, MenuVersion
from events.platform_token import PlatformToken
from events.wechat import Credentials, InvalidKey, SecurityMode, Unreadable, xml_body
from events.wechat.crypto import decode_aes_key

__all__ = [
    "ACCOUNT_SECRETS",
    "ApiKey",
    "DutyRun",
    "EventLog",
    "LiveMenu",
    "MenuVersion",
    "OfficialAccount",
    "PlatformToken",
    "PrunedMonth",
    "ReplyRule",
    "with_account",
]

_Rows = TypeVar("_Rows", bound="models.QuerySet[Any]")


# To be deferred where accounts are only named: reading one decrypts it.
ACCOUNT_SECRETS = (
    "app_secret",
    "token",
    "previous_token",
    "encoding_aes_key",
    "previous_encoding_aes_key",
)


def with_account(rows: _Rows) -> _Rows:
    """The rows of a model that has an account, each with it, and none of its secrets decrypted."""
    return rows.select_related("account").defer(*(f"account__{name}" for name in ACCOUNT_SECRETS))


def new_callback_key() -> str:
    return secrets.token_urlsafe(18)


def validate_aes_key(value: str) -> None:
    try:
        decode_aes_key(value)
    except InvalidKey:
        raise ValidationError(
            _("An EncodingAESKey has exactly 43 letters and digits."), code="invalid"
        ) from None


def validate_time_zone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError(_("Not the name of a time zone."), code="invalid")


class OfficialAccount(models.Model):
    """One Official Account (公众号) whose messages and events this site receives."""

    class Mode(models.TextChoices):
        PLAINTEXT = SecurityMode.PLAINTEXT.value, _("plaintext (明文模式)")
        COMPATIBLE = SecurityMode.COMPATIBLE.value, _("compatible (兼容模式)")
        SAFE = SecurityMode.SAFE.value, _("safe (安全模式)")

    slug = models.SlugField(
        _("handle"),
        unique=True,
        help_text=_("Names this account in the API and in commands. It never changes."),
    )
    callback_key = models.CharField(
        _("callback key"),
        max_length=64,
        unique=True,
        default=new_callback_key,
        help_text=_("The random part of the callback URL."),
    )
    name = models.CharField(_("name"), max_length=100)
    original_id = models.CharField(
        _("original ID (原始ID)"), max_length=64, help_text=_("Begins with gh_.")
    )
    app_id = models.CharField(_("AppID"), max_length=64, help_text=_("Begins with wx."))
    app_secret = EncryptedTextField(_("AppSecret"), blank=True, default="")
    token = EncryptedTextField(_("token (令牌)"), blank=True, default="")
    previous_token = EncryptedTextField(blank=True, default="", editable=False)
    token_changed_at = models.DateTimeField(null=True, editable=False)
    encoding_aes_key = EncryptedTextField(
        _("EncodingAESKey (消息加解密密钥)"), blank=True, default="", validators=[validate_aes_key]
    )
    previous_encoding_aes_key = EncryptedTextField(blank=True, default="", editable=False)
    encoding_aes_key_changed_at = models.DateTimeField(null=True, editable=False)
    security_mode = models.CharField(
        _("security mode (消息加解密方式)"),
        max_length=10,
        choices=Mode.choices,
        default=Mode.SAFE,
        help_text=_(
            "Safe mode is recommended. In plaintext mode WeChat's signature does not cover the "
            "body: whoever has seen one signed request can forge others."
        ),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        default="Asia/Shanghai",
        validators=[validate_time_zone],
        help_text=_("Where the account's business days begin and end."),
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("An inactive account's callback refuses everything.")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("Official Account")
        verbose_name_plural = _("Official Accounts")
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                name="account_security_mode",
                condition=models.Q(security_mode__in=[mode.value for mode in SecurityMode]),
            ),
            models.CheckConstraint(
                name="account_encryption_has_key",
                condition=models.Q(security_mode=SecurityMode.PLAINTEXT.value)
                | (~models.Q(encoding_aes_key="") & ~models.Q(app_id="")),
                violation_error_message=_(
                    "Compatible and safe mode need an AppID and an EncodingAESKey."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def callback_path(self) -> str:
        return reverse("events:callback", args=[self.callback_key])

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)

    def set_token(self, token: str, *, now: datetime.datetime) -> None:
        """Changes the token in memory; pushes signed with the former one stay valid for a while."""
        if token != self.token:
            self.previous_token, self.token = self.token, token
            self.token_changed_at = now

    def set_encoding_aes_key(self, key: str, *, now: datetime.datetime) -> None:
        """Changes the AES key in memory; the former one still decrypts for a while."""
        if key != self.encoding_aes_key:
            self.previous_encoding_aes_key, self.encoding_aes_key = self.encoding_aes_key, key
            self.encoding_aes_key_changed_at = now

    def credentials(self, now: datetime.datetime) -> Credentials:
        """What opens this account's pushes at that moment; former secrets too, in their window."""
        window = datetime.timedelta(seconds=settings.SECRET_ROTATION_SECONDS)

        def accepted(
            current: str, former: str, changed: datetime.datetime | None
        ) -> tuple[str, ...]:
            # While there is no current secret, a former one must not keep the door open.
            overlap = bool(current and former and changed and now < changed + window)
            return tuple(value for value in (current, former if overlap else "") if value)

        return Credentials(
            app_id=self.app_id,
            mode=SecurityMode(self.security_mode),
            tokens=accepted(self.token, self.previous_token, self.token_changed_at),
            aes_keys=accepted(
                self.encoding_aes_key,
                self.previous_encoding_aes_key,
                self.encoding_aes_key_changed_at,
            ),
        )


class EventLog(models.Model):
    """One authentic push of WeChat, or one answer of its platform. The truth of this site.

    Rows are only ever added; what happened to them since (folding, replying) is kept beside what
    arrived. On PostgreSQL the table is partitioned by month of event_time (events/partitions.py),
    so no foreign key may point at it; others keep id and event_time.
    """

    class Source(models.TextChoices):
        CALLBACK = "callback", _("callback")
        IMPORT = "import", _("import")
        RECONCILE = "reconcile", _("reconcile")

    class Status(models.TextChoices):
        RECEIVED = "received", _("received")
        PROCESSED = "processed", _("processed")
        FAILED = "failed", _("failed")
        DEAD = "dead", _("given up")
        UNREADABLE = "unreadable", _("unreadable")
        SET_ASIDE = "set_aside", _("set aside")

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        db_index=False,  # the unique constraint begins with it
        related_name="events",
        verbose_name=_("Official Account"),
    )
    source = models.CharField(
        _("source"), max_length=10, choices=Source.choices, default=Source.CALLBACK
    )
    dedup_key = models.CharField(max_length=32)
    msg_type = models.CharField("MsgType", max_length=64, blank=True)
    event = models.CharField("Event", max_length=64, blank=True)
    kind = models.CharField(_("kind"), max_length=64)
    from_user = models.CharField("FromUserName", max_length=64, blank=True)
    openid = models.CharField("OpenID", max_length=64, blank=True)
    event_key = models.TextField("EventKey", blank=True)
    scene = models.CharField(_("scene"), max_length=64, blank=True)
    ticket = models.TextField("Ticket", blank=True)
    msg_id = models.CharField("MsgId", max_length=64, blank=True)
    event_time = models.DateTimeField(_("event time"))
    received_at = models.DateTimeField(_("received at"))
    last_delivered_at = models.DateTimeField(_("last delivery"))
    delivery_count = models.PositiveIntegerField(_("deliveries"), default=1)
    raw = models.BinaryField(_("body"))
    folded_at = models.DateTimeField(_("folded"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True, default="")
    processed_at = models.DateTimeField(_("outcome"), null=True, blank=True)
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True, blank=True)
    reply = models.TextField(_("reply"), blank=True, default="")
    # Brought back from an archive after its removal: what it says is in the base already.
    in_base = models.BooleanField(default=False, db_default=False, editable=False)
    # Of rows that were not pushed but asked for: the last follow as WeChat told it.
    followed_at = models.DateTimeField(_("followed"), null=True, blank=True)

    objects = EventLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [
            # In this order, since events come about in that of their times: so its index grows at
            # its end, while begun by dedup_key each insert would touch a page of its own.
            models.UniqueConstraint(
                fields=["account", "event_time", "dedup_key"], name="event_delivered_once"
            ),
            models.CheckConstraint(
                name="event_source",
                condition=models.Q(source__in=["callback", "import", "reconcile"]),
            ),
            models.CheckConstraint(
                name="event_status",
                condition=models.Q(
                    status__in=[
                        "received", "processed", "failed", "dead", "unreadable", "set_aside"
                    ]
                ),
            ),
            models.CheckConstraint(
                name="event_fold_only_ours",
                condition=models.Q(folded_at=None)
                | ~models.Q(status__in=["unreadable", "set_aside"]),
            ),
        ]  # fmt: skip
        indexes = [
            # One account's events, newest first.
            models.Index(fields=["account", "id"], name="event_account"),
            # A day's rows of one account: statistics, and the API's event_time filters. The unique
            # key begins like it, but does not put those of one second in the list's order.
            models.Index(fields=["account", "event_time"], name="event_account_time"),
            # A stretch of time, of all accounts: the filters by event_time and received_at, which
            # put the list in that order. Both grow at their end: an insert costs little.
            models.Index(fields=["event_time", "id"], name="event_by_time"),
            models.Index(fields=["received_at", "id"], name="event_by_receipt"),
            # One follower's events, newest first; the refold of one follower.
            models.Index(
                fields=["openid", "id"], name="event_openid", condition=~models.Q(openid="")
            ),
            # One kind's events, newest first; the list of kinds that occur.
            models.Index(fields=["kind", "id"], name="event_kind"),
            # One scene's follows and scans.
            models.Index(fields=["scene", "id"], name="event_scene", condition=~models.Q(scene="")),
            # One menu key or URL. EventKey has no length limit, an index entry has.
            models.Index(
                EventKeyPrefix("event_key"),
                "id",
                name="event_key_prefix",
                condition=~models.Q(event_key=""),
            ),
            # What the worker takes next.
            models.Index(
                fields=["next_attempt_at"],
                name="event_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            # What operators look for: all that did not simply go through.
            models.Index(
                fields=["status", "id"],
                name="event_status",
                condition=~models.Q(status="processed"),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {label(self.kind)}"

    @functools.cached_property
    def payload(self) -> Mapping[str, Any] | None:
        """The body as nested mappings; None when it cannot be read."""
        try:
            return xml_body.parse(bytes(self.raw))
        except Unreadable:
            return None

    @property
    def is_binding_scan(self) -> bool:
        """Whether the row carries a one-time scene, which must not be shown."""
        return one_time_scenes.is_one_time_scene(self.scene)

    def masked(self, text: str) -> str:
        """A text of this row as it may be shown: one-time scenes and their ticket unreadable."""
        text = one_time_scenes.mask(text)
        if self.ticket and self.is_binding_scan:
            text = text.replace(self.ticket, "••••")
        return text

    def masked_payload(self, payload: Any) -> Any:
        """A payload of this row, or any part of one, with every text masked."""
        match payload:
            case str():
                return self.masked(payload)
            case dict():
                return {name: self.masked_payload(value) for name, value in payload.items()}
            case list():
                return [self.masked_payload(value) for value in payload]
            case _:
                return payload


class PrunedMonth(models.Model):
    """A month of event_time whose rows were removed from the log, or brought back to it.

    Rows of a month can arrive after its removal (an import); they are the next part of it.
    """

    month = models.DateField(unique=True)
    # The last part whose removal has begun; its archive is called by this number.
    part = models.PositiveSmallIntegerField(default=0)
    is_archived = models.BooleanField(default=False)
    rows = models.PositiveBigIntegerField(default=0)
    began_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # Rows brought back from an archive are not removed again before this.
    keep_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"

    @property
    def is_under_way(self) -> bool:
        return self.began_at is not None and self.finished_at is None


class ReplyRule(models.Model):
    """What a follower is answered, as operators write it in the admin."""

    class Trigger(models.TextChoices):
        FOLLOW = "event.subscribe", _("follow (关注)")
        SCAN = "event.scan", _("QR scan while following (扫码)")
        CLICK = "event.click", _("menu click (菜单点击)")
        TEXT = "text", _("text message (文本消息)")

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        db_index=False,  # the unique constraint begins with it
        related_name="reply_rules",
        verbose_name=_("Official Account"),
    )
    trigger = models.CharField(_("trigger"), max_length=20, choices=Trigger.choices)
    key = models.CharField(
        _("key"),
        max_length=128,
        blank=True,
        help_text=_(
            "The menu key, the QR scene, or the exact text. Empty: whenever no other rule fits."
        ),
    )
    content = models.TextField(_("reply"), max_length=2048)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("reply rule")
        verbose_name_plural = _("reply rules")
        ordering = ["account", "trigger", "key"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "trigger", "key"], name="reply_rule_one_per_key"
            ),
            models.CheckConstraint(name="reply_rule_has_content", condition=~models.Q(content="")),
        ]

    def __str__(self) -> str:
        return f"{self.get_trigger_display()} {self.key}".strip()

    def clean(self) -> None:
        # WeChat does not deliver a longer text, and it counts bytes, of which a Chinese character
        # takes three.
        if len(self.content.encode()) > 2048:
            raise ValidationError(
                {"content": _("WeChat takes at most 2048 bytes: about 680 Chinese characters.")}
            )


class ApiKey(models.Model):
    """A key to the API. Only its digest is stored: a copied database opens nothing."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="api_keys",
        verbose_name=_("user"),
    )
    name = models.CharField(_("name"), max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name or f"#{self.pk}"

    @staticmethod
    def digest_of(key: str) -> str:
        # The key has 256 random bits, so a slow password hash would add nothing.
        return hashlib.sha256(key.encode()).hexdigest()

    @classmethod
    def issue(cls, *, user: Any, scopes: list[str], name: str = "") -> tuple[ApiKey, str]:
        """Makes a key and returns it with its text, which can never be shown again."""
        key = secrets.token_urlsafe(32)
        made = cls.objects.create(user=user, scopes=scopes, name=name, digest=cls.digest_of(key))
        return made, key

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and self.user.is_active

    def note_use(self) -> None:
        """Remembers the use, to the minute: not a write for every request."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > datetime.timedelta(minutes=1):
            # What is asked for does not depend on this being written.
            with contextlib.suppress(DatabaseError):
                type(self).objects.filter(pk=self.pk).update(last_used_at=now)
