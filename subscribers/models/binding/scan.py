"""The table of scans: the outcome of every binding code that somebody scanned or sent."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from subscribers.models.binding.refusal import Refusal
from subscribers.models.binding.request import BindingRequest
from subscribers.models.sign_in import SignInRequest
from subscribers.models.subscriber import Subscriber

__all__ = ["BindingScan"]


class BindingScan(models.Model):
    """A scan of a binding code, or a code in a message, with its outcome."""

    class Outcome(models.TextChoices):
        BOUND = "bound", _("bound")
        ALREADY_BOUND = "already_bound", _("was already bound to this user")
        ASKED = "asked", _("the follower was asked")
        SIGN_IN_ASKED = "sign_in_asked", _("the follower was asked about a sign-in")
        SIGN_IN_ALLOWED = "sign_in_allowed", _("the follower allowed a sign-in")
        REFUSED = "refused", _("refused")

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.PROTECT, verbose_name=_("Official Account")
    )
    subscriber = models.ForeignKey(
        Subscriber,
        on_delete=models.PROTECT,
        related_name="binding_scans",
        verbose_name=_("follower"),
    )
    request = models.ForeignKey(
        BindingRequest,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="scans",
        verbose_name=_("binding request"),
    )
    # Set if the code was one to sign in.
    sign_in = models.ForeignKey(
        SignInRequest, on_delete=models.SET_NULL, null=True, related_name="scans", editable=False
    )
    event_id = models.BigIntegerField(_("event"))
    event_time = models.DateTimeField(_("event time"))
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome.choices)
    refused_reason = models.CharField(
        _("refused because"), max_length=20, choices=Refusal.choices, blank=True, default=""
    )

    class Meta:
        verbose_name = _("binding scan")
        verbose_name_plural = _("binding scans")
        constraints = [
            models.UniqueConstraint(fields=["event_id", "event_time"], name="binding_scan_once"),
            models.CheckConstraint(
                name="binding_scan_reason",
                condition=Q(outcome="refused") & ~Q(refused_reason="")
                | ~Q(outcome="refused") & Q(refused_reason=""),
            ),
        ]
        indexes = [
            # The latest wrong codes of an account, to notice guessing.
            models.Index(
                fields=["account", "-id"],
                name="binding_scan_unknown",
                condition=Q(refused_reason="unknown"),
            ),
            # The wrong codes of a follower. It leaves out other scans, because those of somebody
            # who guesses go on after the limit, without end.
            models.Index(
                fields=["subscriber", "event_time"],
                name="binding_scan_wrong",
                condition=Q(refused_reason="unknown"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} #{self.pk}"
