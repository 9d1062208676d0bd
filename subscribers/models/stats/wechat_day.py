"""The table of WeChat's own daily figures (数据统计 › 用户分析)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount

__all__ = ["WeChatDay"]


class WeChatDay(models.Model):
    """WeChat's figures of one account for one day in Beijing. WeChat corrects a day for a while."""

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        db_index=False,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    date = models.DateField(_("day"))
    new = models.PositiveIntegerField(_("follows by WeChat"))
    cancelled = models.PositiveIntegerField(_("unfollows by WeChat"))
    cumulative = models.PositiveIntegerField(_("followers by WeChat"))
    fetched_at = models.DateTimeField(_("fetched"))

    class Meta:
        verbose_name = _("day by WeChat's figures")
        verbose_name_plural = _("WeChat's daily figures")
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["account", "date"], name="wechat_day_once")]
        indexes = [models.Index(fields=["-date", "-id"], name="wechat_day_date")]

    def __str__(self) -> str:
        return f"{self.date}"
