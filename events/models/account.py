"""The table of Official Accounts (公众号), with the secrets of each."""

from __future__ import annotations

import datetime
import re
import secrets
import zoneinfo
from typing import Any, Self, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models.account_rules import RULES, checked
from events.models.fields import EncryptedTextField
from events.wechat import Credentials, SecurityMode

__all__ = ["ACCOUNT_SECRETS", "OfficialAccount", "with_account"]

HOLD_TEXT = "正在为您处理，回复任意内容查看结果"

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")

_Rows = TypeVar("_Rows", bound="models.QuerySet[Any]")


# Queries that only show an account's name defer these fields, because reading one decrypts it.
ACCOUNT_SECRETS = (
    "app_secret",
    "token",
    "previous_token",
    "encoding_aes_key",
    "previous_encoding_aes_key",
)


def with_account(rows: _Rows) -> _Rows:
    """Selects each row's account too, without the account's secrets."""
    return rows.select_related("account").defer(*(f"account__{name}" for name in ACCOUNT_SECRETS))


def new_callback_key() -> str:
    """Returns 144 random bits as 24 characters."""
    return secrets.token_urlsafe(18)


def validate_aes_key(value: str) -> None:
    checked("encoding_aes_key", value)


def validate_hosts(value: str) -> None:
    """Raises ValidationError unless the text is a list of host names, separated by white space."""
    for host in value.lower().split():
        if not _HOST.fullmatch(host):
            raise ValidationError(
                _("%(host)s is no name of a host, such as shop.example.com."),
                code="invalid",
                params={"host": host[:100]},
            )


def validate_time_zone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError(_("Not the name of a time zone."), code="invalid")


class OfficialAccount(models.Model):
    """One Official Account (公众号) whose messages and events this site receives."""

    class Mode(models.TextChoices):
        PLAINTEXT = SecurityMode.PLAINTEXT.value, _("plaintext (明文模式)")
        COMPATIBLE = SecurityMode.COMPATIBLE.value, _("compatible (兼容模式)")
        SAFE = SecurityMode.SAFE.value, _("safe (安全模式)")

    class LateAnswers(models.TextChoices):
        MESSAGE = "message", _("as a customer-service message (客服消息)")
        NEXT = "next", _("with the reply to the follower's next message")

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
    # The picture's name in the storage of private files; "" for no picture.
    picture = models.CharField(
        _("profile picture"), max_length=200, blank=True, default="", db_default="", editable=False
    )
    original_id = models.CharField(
        _("original ID (原始ID)"),
        max_length=64,
        blank=True,
        default="",
        help_text=_(
            "Begins with gh_. In safe and compatible mode it may be left out: the first push "
            "tells it."
        ),
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
            "body: anyone who has seen one signed request can forge others."
        ),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        default="Asia/Shanghai",
        validators=[validate_time_zone],
        help_text=_("Where the account's business days begin and end."),
    )
    late_answers = models.CharField(
        _("late answers"),
        max_length=7,
        choices=LateAnswers.choices,
        default=LateAnswers.MESSAGE,
        help_text=_(
            "How an answer goes out that takes longer than WeChat waits, about 14 seconds. An "
            "account that is not verified (未认证) may send no customer-service messages."
        ),
    )
    hold_text = models.CharField(
        _("text while the answer is made"),
        max_length=200,
        blank=True,
        default=HOLD_TEXT,
        help_text=_(
            "Where late answers go out with the next reply: what the follower reads meanwhile. "
            "Empty: nothing."
        ),
    )
    ask_before_binding = models.BooleanField(
        _("ask before binding"),
        default=False,
        help_text=_(
            "Who scans or sends a binding code is told the user's name, and nothing is bound until "
            "they agree. Otherwise they are bound at once and told how to undo it."
        ),
    )
    js_hosts = models.TextField(
        _("JS-SDK hosts (JS接口安全域名)"),
        blank=True,
        default="",
        validators=[validate_hosts],
        help_text=_(
            "Hosts whose pages other programs may have signed for wx.config, one on each line."
        ),
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
                name="account_late_answers",
                condition=models.Q(late_answers__in=["message", "next"]),
            ),
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

    @classmethod
    def from_db(cls, *arguments: Any) -> Self:  # type: ignore[override]
        account = super().from_db(*arguments)
        account.note_original_id()
        return account

    def note_original_id(self) -> None:
        """Remembers the stored original ID, to notice later that it has changed."""
        if "original_id" in self.__dict__:
            self._stored_original_id = self.original_id

    @property
    def has_new_original_id(self) -> bool:
        return getattr(self, "_stored_original_id", None) not in {None, self.original_id}

    def clean_fields(self, exclude: Any = None) -> None:
        """Trims and checks each setting separately, so that one mistake does not hide another."""
        excluded = set(exclude or ())
        errors: dict[str, Any] = {}
        for name in RULES:
            if name not in excluded:
                try:
                    setattr(self, name, checked(name, getattr(self, name)))
                except ValidationError as error:
                    errors[name] = error.error_list
        try:
            super().clean_fields(exclude=excluded | set(errors))
        except ValidationError as error:
            error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def learn_original_id(self, told: str) -> str:
        """Stores the original ID from an authentic encrypted push, if the account has none yet.

        Returns the stored original ID; it does not change this object.
        """
        accounts = OfficialAccount.objects.filter(pk=self.pk)
        accounts.filter(original_id="").update(original_id=told, updated_at=timezone.now())
        return accounts.values_list("original_id", flat=True).get()

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)

    def set_token(self, token: str, *, now: datetime.datetime) -> None:
        """Changes the token in memory; pushes with the former one stay valid for a while."""
        token = token.strip()
        if token != self.token:
            self.previous_token, self.token = self.token, token
            self.token_changed_at = now

    def set_encoding_aes_key(self, key: str, *, now: datetime.datetime) -> None:
        """Changes the AES key in memory; the former one still decrypts for a while."""
        key = key.strip()
        if key != self.encoding_aes_key:
            self.previous_encoding_aes_key, self.encoding_aes_key = self.encoding_aes_key, key
            self.encoding_aes_key_changed_at = now

    def credentials(self, now: datetime.datetime) -> Credentials:
        """Returns the secrets that open pushes at that time: current ones, and recent former ones.

        A former secret counts for SECRET_ROTATION_SECONDS after its change.
        """
        window = datetime.timedelta(seconds=settings.SECRET_ROTATION_SECONDS)

        def accepted(
            current: str, former: str, changed: datetime.datetime | None
        ) -> tuple[str, ...]:
            # If the current secret was removed, the former one must not open pushes either.
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
