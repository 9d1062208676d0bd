"""The tables of reply rules (自动回复): drafts, published versions, and which rule answered."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.models.account import OfficialAccount
from events.rules.data import AnswerChoice, Rule, rule_from_json

__all__ = ["ReplyRule", "RuleHit", "RuleVersion"]


class ReplyRule(models.Model):
    """A rule as operators write it. All rows of an account, in their order, are its draft.

    The live `RuleVersion` answers followers. The columns hold parts of `Rule.to_json()`.
    """

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        db_index=False,  # an index below begins with it
        related_name="reply_rules",
        verbose_name=_("Official Account"),
    )
    position = models.PositiveIntegerField(_("place"), default=0)
    name = models.CharField(_("name"), max_length=100)
    trigger = models.JSONField(_("trigger"))
    conditions = models.JSONField(_("conditions"), default=dict, blank=True)
    answers = models.JSONField(_("answers"), default=list)
    choice = models.CharField(
        _("of several answers"),
        max_length=3,
        choices=[(AnswerChoice.ALL.value, _("all")), (AnswerChoice.ONE.value, _("one at random"))],
        default=AnswerChoice.ALL.value,
    )
    later = models.JSONField(_("messages afterwards"), default=list, blank=True)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("reply rule")
        verbose_name_plural = _("reply rules")
        ordering = ["account", "position", "id"]
        indexes = [models.Index(fields=["account", "position"], name="reply_rule_order")]

    def __str__(self) -> str:
        return self.name or f"#{self.pk}"

    @property
    def rule(self) -> Rule:
        """The row as plain data; `id` is 0 before it is stored. Raises as rule_from_json()."""
        return rule_from_json(
            {
                "id": self.pk or 0,
                "name": self.name,
                "trigger": self.trigger,
                "conditions": self.conditions,
                "answers": self.answers,
                "choice": self.choice,
                "later": self.later,
                "is_on": self.is_active,
            }
        )

    def take(self, rule: Rule) -> None:
        """Copies the rule into the row, except its id and position; saves nothing."""
        data = rule.to_json()
        self.name, self.is_active = rule.name, rule.is_on
        for name in ("trigger", "conditions", "answers", "choice", "later"):
            setattr(self, name, data[name])


class RuleVersion(models.Model):
    """All rules of an account as published at one time. One version of each account is live.

    `rules` has them in their order (`Rule.to_json`). Only `is_live` of a version ever changes.
    """

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        db_index=False,  # an index below begins with it
        related_name="rule_versions",
        verbose_name=_("Official Account"),
    )
    rules = models.JSONField(_("reply rules"), default=list)
    note = models.CharField(
        _("note"), max_length=200, blank=True, help_text=_("What is new; only operators see it.")
    )
    is_live = models.BooleanField(_("answers followers now"), default=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("published by"),
    )
    published_at = models.DateTimeField(_("published"), auto_now_add=True)

    class Meta:
        verbose_name = _("version of reply rules")
        verbose_name_plural = _("versions of reply rules")
        ordering = ["-pk"]
        permissions = [("publish_rules", _("Can publish reply rules"))]
        constraints = [
            models.UniqueConstraint(
                name="rule_version_one_live", fields=["account"], condition=Q(is_live=True)
            )
        ]
        indexes = [models.Index(fields=["account", "id"], name="rule_version_account")]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def content(self) -> tuple[Rule, ...]:
        rows: list[dict[str, Any]] = self.rules
        return tuple(map(rule_from_json, rows))


class RuleHit(models.Model):
    """Which rule answered an event of the last months."""

    # No foreign keys: the log is partitioned and pruned, and a rule may be deleted.
    event_id = models.BigIntegerField(primary_key=True)
    event_time = models.DateTimeField(db_index=True)
    rule_id = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["rule_id", "event_time"], name="rule_hit_by_rule")]

    def __str__(self) -> str:
        return f"event {self.event_id}"
