"""The table of reply rules (自动回复), written by operators."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount

__all__ = ["ReplyRule"]


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
