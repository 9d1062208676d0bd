"""The tables of alerts: channels, what is wrong now, and each message about it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount
from events.models.fields import EncryptedTextField
from events.models.job import Job, JobQuerySet

__all__ = ["Alert", "AlertChannel", "AlertMessage"]


class AlertChannel(models.Model):
    """A place to which alert messages go: e-mail, 企业微信, 钉钉, 飞书, Slack, a webhook.

    `url` is an address of apprise (https://github.com/caronc/apprise/wiki). It holds passwords, so
    it is encrypted and never shown. Between `quiet_from` and `quiet_to` by the site's clock the
    site sends nothing; equal or empty times mean no quiet hours.
    """

    class Language(models.TextChoices):
        CHINESE = "zh-hans", "简体中文"
        ENGLISH = "en", "English"

    name = models.CharField(_("name"), max_length=100)
    url = EncryptedTextField(_("address (apprise)"), blank=True, default="")
    language = models.CharField(
        _("language"), max_length=10, choices=Language.choices, default=Language.CHINESE
    )
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_to = models.TimeField(_("quiet to"), null=True, blank=True)
    urgent_always = models.BooleanField(
        _("wake for what is down"),
        default=True,
        help_text=_("Send what loses pushes in quiet hours too; the rest waits until they end."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("alert channel")
        verbose_name_plural = _("alert channels")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """A fault of the site or of an account, from its beginning to its end.

    `rule` is the name of the check that found it; `account` is None for the site. There is only one
    open alert for a rule and an account. `last_seen_at` is when a check found the fault last.
    """

    class Level(models.TextChoices):
        LATE = "late", _("late")
        DOWN = "down", _("down")

    rule = models.CharField(_("rule"), max_length=32)
    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    level = models.CharField(_("level"), max_length=4, choices=Level.choices)
    details = models.JSONField(default=dict)
    began_at = models.DateTimeField(_("began"))
    last_seen_at = models.DateTimeField(_("last noticed"))
    ended_at = models.DateTimeField(_("over"), null=True, blank=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "account"],
                name="alert_open_once",
                condition=Q(ended_at=None, account__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["rule"],
                name="alert_of_site_open_once",
                condition=Q(ended_at=None, account__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["ended_at"], name="alert_ended")]

    def __str__(self) -> str:
        return f"#{self.pk}"


class AlertMessage(Job):
    """One message about an alert to one channel, at its beginning, at a worse level or its end."""

    class About(models.TextChoices):
        BEGINNING = "beginning", _("beginning")
        WORSE = "worse", _("worse")
        END = "end", _("over")

    alert = models.ForeignKey(
        Alert, on_delete=models.CASCADE, related_name="messages", verbose_name=_("alert")
    )
    channel = models.ForeignKey(
        AlertChannel, on_delete=models.CASCADE, related_name="+", verbose_name=_("alert channel")
    )
    about = models.CharField(_("about"), max_length=9, choices=About.choices)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    objects = JobQuerySet["AlertMessage"].as_manager()

    class Meta:
        verbose_name = _("alert message")
        verbose_name_plural = _("alert messages")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["alert", "channel", "about"], name="alert_message_once")
        ]
        indexes = [
            models.Index(
                fields=["due_at"], name="alert_message_due", condition=Q(due_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
